package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Policy is what happens to a message whose filter failed.
type Policy uint8

// The policies. The zero policy is the one of the route, and of a route it is
// DeadLetter.
const (
	PolicyDefault Policy = iota
	PolicyDeadLetter
	PolicyRetry
	PolicyDrop
	PolicyPass // go on as if the filter were not there; never a default

	policyLeave // leave the message to the broker; not to be configured
)

// ParsePolicy reads a policy as written in configuration; "" is PolicyDefault.
func ParsePolicy(s string) (Policy, error) {
	switch s {
	case "":
		return PolicyDefault, nil
	case "dead-letter":
		return PolicyDeadLetter, nil
	case "retry":
		return PolicyRetry, nil
	case "drop":
		return PolicyDrop, nil
	case "pass":
		return PolicyPass, nil
	}
	return 0, fmt.Errorf("unknown policy %q; it is one of dead-letter, retry, drop, pass", s)
}

// Order is what a route promises about the order of its messages.
type Order uint8

// The orders.
const (
	OrderQueue Order = iota // as in the queue, one lane
	OrderKey                // as in the queue among messages of one key
	OrderNone
)

// RouteFilter is a filter as a route uses it.
type RouteFilter struct {
	Source  FilterSource
	OnError Policy // PolicyDefault is the route's
}

// RetryPolicy bounds how often a message is tried again. The delay before try n
// is Backoff doubled n-1 times, at most MaxBackoff, with up to a quarter taken
// off at random.
type RetryPolicy struct {
	MaxAttempts int // tries in all, the first included; ≥ 1
	Backoff     time.Duration
	MaxBackoff  time.Duration
	// Unroutable has what no queue takes tried again, too, unless the route
	// drops it. Without, it is a dead letter at once.
	Unroutable bool
}

// RouteConfig describes a route.
type RouteConfig struct {
	Name    string
	Source  Source
	Format  FormatSource // nil is plain: what is on the wire is what filters see
	Filters []RouteFilter
	Send    []Target // when no filter decides
	Allow   *Allow   // what filters may decide; nil is nothing
	Order   Order
	OrderBy OrderKeyFunc // of OrderKey
	Lanes   int          // ≥ 1; 1 with OrderQueue
	OnError Policy
	Retry   RetryPolicy

	DeadLetter  Target
	Unroutable  Policy // of what no queue takes: PolicyDrop, or PolicyDefault, a dead letter
	MaxMessage  int    // bytes of body; more is dead-lettered unseen by filters
	AllowCC     bool
	DedupWindow int // remembered deliveries, 0 is none
	DedupTTL    time.Duration

	Tracer    Tracer // nil follows no message
	Listener  Listener
	NewSender func(name string) Sender
	Logger    *slog.Logger
}

// Route is one path from a queue through filters to targets. Its methods are
// safe for concurrent use; Run is called once.
type Route struct {
	cfg   RouteConfig
	log   *slog.Logger
	chain [NumStages][]int // per stage, indices into cfg.Filters
	lanes []*lane
	seen  *seen
	stat  counters

	targets targets
	settler Settler // of the delivery before; only dispatch uses it
}

// NewRoute checks the configuration and makes the filter instances of every
// lane, so that all that can fail before a message arrives fails here.
func NewRoute(ctx context.Context, cfg RouteConfig) (*Route, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("route %s: %w", cfg.Name, err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Source.SingleLane = cfg.Lanes == 1
	cfg.Source.Ordered = cfg.Order != OrderNone
	if cfg.Format != nil {
		// What is not of the format is no matter of policy: trying again does not
		// help, and no filter could read it.
		cfg.Filters = slices.Insert(slices.Clone(cfg.Filters), 0, RouteFilter{cfg.Format, PolicyDeadLetter})
	}
	r := &Route{cfg: cfg, log: cfg.Logger.With("route", cfg.Name)}
	r.stat.init()
	r.targets.init(&r.cfg)
	for i, f := range cfg.Filters {
		for s := range Stage(NumStages) {
			if f.Source.Stages().Has(s) {
				r.chain[s] = append(r.chain[s], i)
			}
		}
	}
	if chain := r.chain[Encode]; cfg.Format != nil && len(chain) > 0 && chain[0] == 0 {
		r.chain[Encode] = append(chain[1:], 0) // it undoes last what it did first
	}
	if cfg.DedupWindow > 0 {
		r.seen = newSeen(cfg.DedupWindow, cfg.DedupTTL)
	}
	for i := range cfg.Lanes {
		l, err := newLane(ctx, r, i)
		if err != nil {
			r.closeLanes()
			return nil, fmt.Errorf("route %s: %w", cfg.Name, err)
		}
		r.lanes = append(r.lanes, l)
	}
	return r, nil
}

func (cfg *RouteConfig) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if cfg.Source.Queue == "" {
		bad("listens to no queue")
	}
	if cfg.Source.Prefetch < 1 || cfg.Source.Prefetch > 65535 {
		bad("prefetch is %d; AMQP allows 1 to 65535", cfg.Source.Prefetch)
	}
	if cfg.Lanes < 1 || cfg.Lanes > 1024 {
		bad("has %d lanes; 1 to 1024 are allowed", cfg.Lanes)
	}
	if cfg.Order == OrderQueue && cfg.Lanes > 1 {
		bad("keeps the queue's order, which takes 1 lane, not %d; use order = \"key\" or \"none\"", cfg.Lanes)
	}
	if cfg.Order == OrderKey && cfg.OrderBy == nil {
		bad("keeps order by key but names none; set order_by")
	}
	if cfg.Retry.MaxAttempts < 1 {
		bad("max_attempts is %d; the first try counts, so it is at least 1", cfg.Retry.MaxAttempts)
	}
	if cfg.Retry.Backoff <= 0 || cfg.Retry.MaxBackoff < cfg.Retry.Backoff {
		bad("backoff is %v and max_backoff %v; it takes 0 < backoff ≤ max_backoff", cfg.Retry.Backoff, cfg.Retry.MaxBackoff)
	}
	if cfg.MaxMessage < 1 {
		bad("max_message is %d bytes; it is at least 1", cfg.MaxMessage)
	}
	if err := cfg.DeadLetter.Validate(); err != nil {
		bad("dead letters: %w", err)
	} else if exchange, key := cfg.DeadLetter.Address(); exchange == "" && key == cfg.Source.Queue {
		bad("dead letters would go back to queue %s, which the route listens to; name another dead_letter queue", key)
	}
	for _, t := range cfg.Send {
		if err := t.Validate(); err != nil {
			bad("send: %w", err)
		}
	}
	decides := cfg.Format != nil && cfg.Format.Stages().Has(Decide)
	for _, f := range cfg.Filters {
		decides = decides || f.Source.Stages().Has(Decide)
	}
	if !decides && len(cfg.Send) == 0 {
		bad("no filter decides and no target is named; set send, or add a filter with a decide stage")
	}
	return errors.Join(errs...)
}

// Name returns the route's name.
func (r *Route) Name() string { return r.cfg.Name }

// Source returns what the route listens to.
func (r *Route) Source() Source { return r.cfg.Source }

// Chain returns the names of the filters that take part in each stage, in the
// order in which they run.
func (r *Route) Chain() [NumStages][]string {
	var names [NumStages][]string
	for s, indices := range r.chain {
		for _, i := range indices {
			names[s] = append(names[s], r.cfg.Filters[i].Source.Name())
		}
	}
	return names
}

// Run listens until ctx ends and what is in hand is settled, or the source's
// drain timeout has passed. What was not settled goes back to the broker. It
// returns early only with an error of the Listener's.
func (r *Route) Run(ctx context.Context) error {
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	var lanes sync.WaitGroup
	for _, l := range r.lanes {
		lanes.Go(func() { l.run(work, ctx.Done()) })
	}
	err := r.cfg.Listener.Listen(ctx, r.cfg.Source, func(d *Delivery) { r.dispatch(ctx.Done(), d) })
	endWork()
	lanes.Wait()
	r.closeLanes()
	for _, l := range r.lanes {
		l.sweep()
	}
	return err
}

// Close frees the lanes of a route that never ran.
func (r *Route) Close() { r.closeLanes() }

func (r *Route) closeLanes() {
	for _, l := range r.lanes {
		l.close()
	}
}

// dispatch hands a delivery to its lane, and waits while that has more than it
// can take, as it may after the loss of a session; but not once stop is closed,
// since the Listener could not give up otherwise.
func (r *Route) dispatch(stop <-chan struct{}, d *Delivery) {
	if d.Envelope.Origin.Received.IsZero() {
		d.Envelope.Origin.Received = time.Now()
	}
	if r.settler != nil && !r.settler.Live() {
		for _, l := range r.lanes {
			l.lost.Store(true)
			l.signal()
		}
	}
	r.settler = d.Settler
	l := r.lanes[0]
	switch {
	case len(r.lanes) == 1:
	case r.cfg.Order == OrderKey:
		l = r.lanes[r.cfg.OrderBy(&d.Envelope)%uint64(len(r.lanes))]
	default:
		l = r.lanes[r.stat.received.Load()%uint64(len(r.lanes))]
	}
	r.stat.received.Add(1)
	if d.Envelope.Origin.Redelivered {
		r.stat.redelivered.Add(1)
	}
	select {
	case l.in <- d:
		return
	default:
	}
	select {
	case l.in <- d:
	case <-stop:
		l.decline(d)
	}
}
