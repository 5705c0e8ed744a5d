package app

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/router"
)

const (
	decisionEvery = 200 * time.Millisecond // a route's messages are followed no oftener
	keptDecisions = 64                     // of each route, the newest
	keptSteps     = 64                     // of each message, as of its sends
	keptBody      = 4 << 10                // bytes of a body that may be shown
	keptHeader    = 256                    // of each header's value
)

// Decision is what became of one message. Only samples of a route's messages are
// followed, five a second at most.
type Decision struct {
	Route       string         `json:"route"`
	At          time.Time      `json:"at"`   // received
	Took        float64        `json:"took"` // seconds until it was settled
	MessageID   string         `json:"message_id,omitempty"`
	Exchange    string         `json:"exchange"`
	RoutingKey  string         `json:"routing_key"`
	ContentType string         `json:"content_type,omitempty"`
	Redelivered bool           `json:"redelivered"`
	Bytes       int            `json:"bytes"`
	Attempts    int            `json:"attempts"`
	Steps       []DecisionStep `json:"steps"`
	Sends       []DecisionSend `json:"sends"`
	Verdict     string         `json:"verdict"`
	Reason      string         `json:"reason,omitempty"` // why nobody gets it
	Filter      string         `json:"filter,omitempty"` // whose word that was
	Stage       string         `json:"stage,omitempty"`
	Error       string         `json:"error,omitempty"` // in a filter's words only with admin.bodies

	// The rest is there only with admin.bodies.
	Headers    map[string]string `json:"headers,omitempty"`
	Body       string            `json:"body,omitempty"`        // the beginning, if it is text
	BodyBase64 string            `json:"body_base64,omitempty"` // the beginning, if it is not
}

// DecisionStep is one filter's turn in one stage.
type DecisionStep struct {
	Filter  string   `json:"filter"`
	Stage   string   `json:"stage"`
	Took    float64  `json:"took"`
	Action  string   `json:"action"` // as filters have decided so far
	Targets []string `json:"targets,omitempty"`
	Emitted int      `json:"emitted,omitempty"` // messages made so far
	Error   string   `json:"error,omitempty"`
}

// DecisionSend is one publish.
type DecisionSend struct {
	Target string `json:"target"`
	Result string `json:"result"` // ok, failed, or pending
	Error  string `json:"error,omitempty"`
}

// Decisions is what /api/decisions answers, the newest first.
type Decisions struct {
	Bodies    bool       `json:"bodies"` // whether they are shown
	Decisions []Decision `json:"decisions"`
}

// samples are the decisions of all routes that were followed. Its methods are safe
// for concurrent use.
type samples struct {
	bodies atomic.Bool
	tell   func(Decision)

	mu     sync.Mutex // protects routes
	routes map[string]*sampler
}

// of returns the sampler of a route, which stays over reloads.
func (s *samples) of(route string) *sampler {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.routes == nil {
		s.routes = make(map[string]*sampler)
	}
	r := s.routes[route]
	if r == nil {
		r = &sampler{all: s}
		s.routes[route] = r
	}
	return r
}

// reloaded forgets all routes but those, and what bodies there are if they are not
// to be shown.
func (s *samples) reloaded(routes map[string]*routePart, bodies bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hide := s.bodies.Swap(bodies) && !bodies
	for name, r := range s.routes {
		if routes[name] == nil {
			delete(s.routes, name)
		} else if hide {
			r.clear()
		}
	}
}

// newest returns at most limit decisions of a route, or of all with "", the newest
// first; false if there is no such route.
func (s *samples) newest(route string, limit int) ([]Decision, bool) {
	all, found := []Decision{}, route == ""
	s.mu.Lock()
	for name, r := range s.routes {
		if route == "" || name == route {
			found = true
			all = r.collect(all)
		}
	}
	s.mu.Unlock()
	slices.SortStableFunc(all, func(x, y Decision) int { return cmp.Compare(y.At.UnixNano(), x.At.UnixNano()) })
	return all[:min(limit, len(all))], found
}

// sampler follows some of a route's messages. It is a [router.Tracer].
type sampler struct {
	all  *samples
	next atomic.Int64 // unix nanoseconds before which no message is followed

	mu   sync.Mutex // protects the fields below
	ring []Decision
	at   int // of the oldest, once the ring is full
}

// Trace implements [router.Tracer]. Of most messages it costs a load and a
// comparison.
func (s *sampler) Trace(route string, received *router.Envelope) router.Trace {
	at := received.Origin.Received.UnixNano()
	next := s.next.Load()
	if at < next || !s.next.CompareAndSwap(next, at+int64(decisionEvery)) {
		return nil
	}
	d := &decisionTrace{sampler: s, sends: map[int]int{}, made: Decision{
		Route: route, At: received.Origin.Received, MessageID: received.MessageID,
		Exchange: received.Origin.Exchange, RoutingKey: received.Origin.RoutingKey, ContentType: received.ContentType,
		Redelivered: received.Origin.Redelivered, Bytes: len(received.Body), Steps: []DecisionStep{}, Sends: []DecisionSend{},
	}}
	if s.all.bodies.Load() {
		d.made.show(received)
	}
	return d
}

// show adds what may hold secrets.
func (d *Decision) show(received *router.Envelope) {
	d.Headers = map[string]string{}
	for name, v := range received.Headers() {
		value := fmt.Sprint(v)
		d.Headers[name] = value[:min(len(value), keptHeader)]
	}
	body := received.Body[:min(len(received.Body), keptBody)]
	text := body
	for cut := 0; cut < utf8.UTFMax && len(text) > 0 && len(body) < len(received.Body) && !utf8.Valid(text); cut++ {
		text = text[:len(text)-1] // a character that was cut in two
	}
	if utf8.Valid(text) {
		d.Body = string(text)
	} else {
		d.BodyBase64 = base64.StdEncoding.EncodeToString(body)
	}
}

// hide takes out what may hold secrets. The errors of the steps become those given.
func (d *Decision) hide(steps []string) {
	d.Headers, d.Body, d.BodyBase64 = nil, "", ""
	for i, text := range steps {
		d.Steps[i].Error = text
	}
	if loss := (router.Loss{Reason: d.Reason, Filter: d.Filter}); loss.Quotes() {
		d.Error = ""
	}
}

// add keeps a decision and tells of it.
func (s *sampler) add(d Decision, discreet []string) {
	s.keep(&d, discreet)
	s.all.tell(d)
}

// keep keeps a decision. A message may have been in hand while a reload turned the
// bodies off: what is in it is hidden then, with the given errors of the steps, and what
// is kept before is cleared by that reload.
func (s *sampler) keep(d *Decision, discreet []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.all.bodies.Load() {
		d.hide(discreet)
	}
	if len(s.ring) < keptDecisions {
		s.ring = append(s.ring, *d)
	} else {
		s.ring[s.at] = *d
		s.at = (s.at + 1) % keptDecisions
	}
}

func (s *sampler) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring, s.at = nil, 0
}

// collect appends all that are kept.
func (s *sampler) collect(to []Decision) []Decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(append(to, s.ring[s.at:]...), s.ring[:s.at]...)
}

// decisionTrace follows one message.
type decisionTrace struct {
	sampler *sampler

	mu       sync.Mutex // protects the fields below
	made     Decision
	discreet []string    // the errors of made.Steps without a filter's words
	sends    map[int]int // by number of the output, its place among made.Sends
}

// Filtered implements [router.Trace].
func (t *decisionTrace) Filtered(step router.Step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.made.Steps) >= keptSteps {
		return
	}
	d := DecisionStep{Filter: step.Filter, Stage: step.Stage.String(), Took: step.Took.Seconds()}
	if step.Decision != nil {
		d.Action, d.Emitted = step.Decision.Action.String(), len(step.Decision.Emitted)
		for _, target := range step.Decision.Targets {
			d.Targets = append(d.Targets, target.String())
		}
	}
	discreet := ""
	if step.Err != nil {
		d.Error, discreet = step.Err.Error(), router.Discreet(step.Err)
	}
	t.made.Steps, t.discreet = append(t.made.Steps, d), append(t.discreet, discreet)
}

// Sending implements [router.Trace]. Trying again is the same send, a dead letter
// in place of what failed is another.
func (t *decisionTrace) Sending(nth int, to router.Target, _ *router.Envelope) {
	t.mu.Lock()
	defer t.mu.Unlock()
	target := to.String()
	i, known := t.sends[nth]
	switch {
	case known && t.made.Sends[i].Target == target:
		t.made.Sends[i] = DecisionSend{Target: target, Result: "pending"}
	case len(t.made.Sends) < keptSteps:
		t.sends[nth] = len(t.made.Sends)
		t.made.Sends = append(t.made.Sends, DecisionSend{Target: target, Result: "pending"})
	default:
		delete(t.sends, nth)
	}
}

// Sent implements [router.Trace].
func (t *decisionTrace) Sent(nth int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, known := t.sends[nth]
	switch {
	case !known:
	case err == nil:
		t.made.Sends[i].Result = "ok"
	default:
		t.made.Sends[i].Result, t.made.Sends[i].Error = "failed", err.Error()
	}
}

// Done implements [router.Trace].
func (t *decisionTrace) Done(o router.Outcome) {
	t.mu.Lock()
	d, discreet := t.made, t.discreet
	t.mu.Unlock()
	d.Took, d.Verdict, d.Attempts = time.Since(d.At).Seconds(), o.Verdict, o.Attempts
	d.Reason, d.Filter, d.Stage = o.Loss.Reason, o.Loss.Filter, o.Loss.Stage
	if d.Error = o.Loss.Text; o.Err != nil {
		d.Error = o.Err.Error()
	}
	t.sampler.add(d, discreet)
}

// decisions answers GET /api/decisions.
func (a *App) decisions(_ context.Context, r *admin.Request) (any, error) {
	limit, err := r.Int("limit", keptDecisions, 1, 1000)
	if err != nil {
		return nil, err
	}
	list, found := a.samples.newest(r.Query("route"), limit)
	if !found {
		return nil, admin.Refuse(http.StatusNotFound, "there is no route %q", r.Query("route"))
	}
	return Decisions{a.samples.bodies.Load(), list}, nil
}
