package app_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/router"
)

// programsInCI is how many programs TestSessionsHoldThePromise tries unless
// -rapid.checks says otherwise.
const programsInCI = "30"

// program is what a broker does to a route while messages pass through it.
type program struct {
	Order    router.Order
	Lanes    int
	Prefetch int
	InFlight int // publishes at once on a channel
	Targets  int
	Dedup    bool
	Steps    []step
}

// step sends messages, lets them get further on their way, and then has something
// happen.
type step struct {
	Publish int // messages
	Nap     int // half milliseconds
	Do      string
	N       int
}

// faults are what may happen, besides "calm", which ends what lasts, and "settle",
// which waits until all is done. They are those of the router's connections alone.
var faults = map[string]func(f *broker.Faults, n int){
	"nack":              func(f *broker.Faults, n int) { f.NackPublishes(n) },
	"return":            func(f *broker.Faults, n int) { f.ReturnPublishes(n) },
	"drop confirms":     func(f *broker.Faults, n int) { f.DropConfirms(n) },
	"delay confirms":    func(f *broker.Faults, n int) { f.DelayConfirms(time.Duration(n) * time.Millisecond) },
	"deliver twice":     func(f *broker.Faults, n int) { f.DeliverTwice(n) },
	"refuse dials":      func(f *broker.Faults, n int) { f.RefuseDials(n) },
	"cancel consumers":  func(f *broker.Faults, _ int) { f.CancelConsumers("/", "in") },
	"close channels":    func(f *broker.Faults, _ int) { f.CloseChannels(ofRouter, 406, "PRECONDITION_FAILED - a test") },
	"close connections": func(f *broker.Faults, _ int) { f.CloseConnections(ofRouter, 320, "CONNECTION_FORCED - a test") },
	"cut connections":   func(f *broker.Faults, _ int) { f.CutConnections(ofRouter) },
	"cut within frame":  func(f *broker.Faults, n int) { f.CutAfter(ofRouter, 40*n+n%7) },
	"stall":             func(f *broker.Faults, _ int) { f.StallReads() },
	"block":             func(f *broker.Faults, _ int) { f.Block() },
}

func ofRouter(name string) bool { return name != "test" }

func calm(f *broker.Faults) {
	f.DelayConfirms(0)
	f.Unblock()
	f.StallReads()()
}

func drawProgram(t *rapid.T) program {
	kinds := append(slices.Collect(maps.Keys(faults)), "nothing", "nothing", "calm", "settle")
	slices.Sort(kinds) // so that a seed gives the same program again
	p := program{
		Order:    rapid.SampledFrom([]router.Order{router.OrderQueue, router.OrderKey, router.OrderNone}).Draw(t, "order"),
		Lanes:    1,
		Prefetch: rapid.IntRange(1, 8).Draw(t, "prefetch"),
		InFlight: rapid.IntRange(1, 8).Draw(t, "in flight"),
		Targets:  rapid.IntRange(1, 2).Draw(t, "targets"),
		Dedup:    rapid.Bool().Draw(t, "dedup"),
	}
	if p.Order != router.OrderQueue {
		p.Lanes = rapid.IntRange(1, 3).Draw(t, "lanes")
	}
	p.Steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			rapid.IntRange(0, 8).Draw(t, "publish"), rapid.IntRange(0, 4).Draw(t, "nap"),
			rapid.SampledFrom(kinds).Draw(t, "do"), rapid.IntRange(1, 6).Draw(t, "n"),
		}
	}), 1, 12).Draw(t, "steps")
	return p
}

// TestSessionsHoldThePromise has an embedded broker do anything that brokers do on
// bad days, in any order, while messages pass through a real route over real
// connections. In the end every message is where it belongs: at all of its targets,
// or a dead letter because the broker returned it or closed the channel on it; in order, where that is
// promised; more than once only as often as the broker made the router send it
// again. And everything ends, and leaves no goroutine behind.
//
// It tries a few programs, and as many as -rapid.checks=1000 says. What fails
// becomes a small program if it fails again, else it is shown as it was.
func TestSessionsHoldThePromise(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set(programsInCI); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = checks.Value.Set(checks.DefValue) }()
	}
	rapid.Check(t, func(t *rapid.T) {
		before := goleak.IgnoreCurrent()
		runProgram(t, drawProgram(t))
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
}

// rig is one run of a program.
type rig struct {
	*rapid.T
	p       program
	server  *broker.Server
	ch      *amqp091.Channel
	n       int // messages published
	returns int // that were asked for
	nacks   int
	closes  int // of the router's channels
}

func runProgram(t *rapid.T, p program) {
	r := &rig{T: t, p: p, server: broker.New(broker.Config{})}
	defer r.server.Close()
	address, err := r.server.Listen(context.Background(), "127.0.0.1:0")
	r.must(err)
	url := "amqp://guest:guest@" + address + "/"
	conn, err := amqp091.DialConfig(url, amqp091.Config{Properties: amqp091.Table{"connection_name": "test"}})
	r.must(err)
	defer func() { _ = conn.Close() }()
	r.ch, err = conn.Channel()
	r.must(err)
	for _, name := range append(r.targets(), "in", "dead") {
		_, err := r.ch.QueueDeclare(name, true, false, false, false, nil)
		r.must(err)
	}
	b, err := amqp.New(amqp.Config{
		URLs: []string{url}, ConfirmTimeout: 250 * time.Millisecond, MaxInFlight: p.InFlight,
		Backoff: amqp.Backoff{Initial: time.Millisecond, Max: 10 * time.Millisecond},
	})
	r.must(err)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, r.config(b)) }()

	for _, s := range p.Steps {
		r.do(s)
	}
	r.settle()
	stop()
	r.must(r.ends("the route", ended))
	closed := make(chan error, 1)
	go func() { closed <- b.Close(context.Background()) }()
	r.must(r.ends("the broker's adapter", closed))
	r.judge(b.Stat())
}

// run keeps a route running as the App does: one that the broker refused, which a
// channel closed at the wrong moment looks like, is made again.
func run(ctx context.Context, cfg router.RouteConfig) error {
	for {
		route, err := router.NewRoute(ctx, cfg)
		if err != nil {
			return err
		}
		if err = route.Run(ctx); !amqp.IsRefusal(err) || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *rig) config(b *amqp.Broker) router.RouteConfig {
	cfg := router.RouteConfig{
		Name: "r", Source: router.Source{Queue: "in", Prefetch: r.p.Prefetch, DrainTimeout: 10 * time.Second},
		Order: r.p.Order, Lanes: r.p.Lanes, MaxMessage: 1 << 10,
		OrderBy:    func(e *router.Envelope) uint64 { return uint64(len(e.Type)) },
		Retry:      router.RetryPolicy{MaxAttempts: 1000, Backoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond},
		DeadLetter: router.Target{Kind: router.TargetQueue, Queue: "dead"},
		Listener:   b, NewSender: b.Sender,
	}
	for _, name := range r.targets() {
		cfg.Send = append(cfg.Send, router.Target{Kind: router.TargetQueue, Queue: name})
	}
	if r.p.Dedup {
		cfg.DedupWindow, cfg.DedupTTL = 1000, time.Minute
	}
	return cfg
}

func (r *rig) targets() []string { return []string{"out", "copy"}[:r.p.Targets] }

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// key is by what a message is ordered where a route orders by key.
func key(n int) int { return n % 3 }

func (r *rig) do(s step) {
	for range s.Publish {
		r.must(r.ch.PublishWithContext(context.Background(), "", "in", false, false, amqp091.Publishing{
			MessageId: strconv.Itoa(r.n), Type: strings.Repeat("k", key(r.n)), Body: []byte(strconv.Itoa(r.n)),
		}))
		r.n++
	}
	time.Sleep(time.Duration(s.Nap) * 500 * time.Microsecond)
	switch s.Do {
	case "nothing":
		return
	case "calm":
		calm(r.server.Faults())
		return
	case "settle":
		r.settle()
		return
	case "return":
		r.returns += s.N
	case "nack":
		r.nacks += s.N
	case "close channels":
		r.closes++
	}
	faults[s.Do](r.server.Faults(), s.N)
}

// settle ends the faults that last and waits until every message has left the
// queue and is acknowledged.
func (r *rig) settle() {
	f := r.server.Faults()
	calm(f)
	// The channel answers when the queue has all that was published before.
	_, err := r.ch.QueueDeclarePassive("in", true, false, false, false, nil)
	r.must(err)
	var state string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		state = "there is no queue in"
		for _, q := range r.server.Stat().Queues {
			if q.Name != "in" {
				continue
			}
			state = fmt.Sprintf("%d of %d messages are ready, %d unacknowledged", q.Ready, r.n, q.Unacked)
			if q.Ready+q.Unacked == 0 {
				return
			}
		}
	}
	r.Fatalf("the queue does not become empty: %s", state)
}

func (r *rig) ends(what string, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		return errors.New(what + " does not end")
	}
}

// judge accounts for every message.
func (r *rig) judge(stat amqp.Stat) {
	dead, refused := map[int]bool{}, map[int]bool{}
	for _, d := range r.take("dead") {
		switch reason := d.Headers["x-router-reason"]; reason {
		case router.ReasonUnroutable:
		case router.ReasonUnsendable: // the only one under way when its channel was closed
			refused[r.number(&d)] = true
		default:
			r.Errorf("message %s is dead: %v", d.Body, reason)
		}
		dead[r.number(&d)] = true
	}
	if len(refused) > r.closes*r.p.Lanes {
		r.Errorf("%d messages are taken for what closed their channels, and %d of %d lanes were closed", len(refused), r.closes, r.p.Lanes)
	}
	if len(dead) > r.returns+len(refused) {
		r.Errorf("%d messages are dead, %d of them refused, and %d were returned", len(dead), len(refused), r.returns)
	}
	copies := 0
	for _, target := range r.targets() {
		var arrived []int
		for _, d := range r.take(target) {
			arrived = append(arrived, r.number(&d))
		}
		first := firsts(arrived)
		copies += len(arrived) - len(first)
		for n := range r.n {
			if !slices.Contains(first, n) && !dead[n] {
				r.Errorf("message %d of %d is not in %s, nor a dead letter", n, r.n, target)
			}
		}
		// A message that was returned, or taken for what closed its channel, holds up
		// no other, and may be sent after all if it is delivered again before it is a
		// dead letter.
		if r.returns == 0 && stat.Unsendable == 0 || int(stat.Delivered) == r.n {
			r.judgeOrder(target, first)
		}
	}
	// Sent again is what the broker did not confirm, and what it delivered again.
	again := int(stat.Unconfirmed) + r.p.Targets*(int(stat.Delivered)-r.n)
	if copies > again {
		r.Errorf("%d copies came, %d publishes were unconfirmed and %d messages delivered %d times", copies, stat.Unconfirmed, r.n, stat.Delivered)
	}
}

// judgeOrder: no message arrives before one that came before it and has the same
// order, unless the broker refused that one while this was under way already.
func (r *rig) judgeOrder(target string, first []int) {
	if r.p.Order == router.OrderNone {
		return
	}
	room := 0
	if r.nacks > 0 {
		room = r.p.Prefetch - 1
	}
	for i, n := range first {
		overtakes := 0
		for _, later := range first[i+1:] {
			if later < n && (r.p.Order == router.OrderQueue || key(later) == key(n)) {
				overtakes++
			}
		}
		if overtakes > room {
			r.Errorf("in %s, message %d overtakes %d others: %v", target, n, overtakes, first)
		}
	}
}

func (r *rig) number(d *amqp091.Delivery) int {
	n, err := strconv.Atoi(string(d.Body))
	r.must(err)
	return n
}

func (r *rig) take(queue string) (all []amqp091.Delivery) {
	for {
		d, ok, err := r.ch.Get(queue, true)
		r.must(err)
		if !ok {
			return all
		}
		all = append(all, d)
	}
}
