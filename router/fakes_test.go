package router

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a Listener and a maker of Senders in memory. answer says what
// becomes of each publish; a nil answer confirms at once.
type broker struct {
	mu        sync.Mutex
	answer    func(n int, t Target, e *Envelope) error
	hold      bool // keep receipts instead of answering
	published []published
	receipts  []func()
	dead      map[uint64]bool // sessions that are gone
	fails     map[string]int  // for answer: failures to come, by queue
	session   uint64
	settled   map[uint64][]string // tag → what was said
	settling  func()              // is called before a delivery is settled; nil: nothing is
	feed      chan *Delivery
	tag       uint64
}

type published struct {
	Target string
	ID     string
	Body   string
	Env    Envelope
}

func newBroker() *broker {
	return &broker{settled: make(map[uint64][]string), feed: make(chan *Delivery, 1000), dead: make(map[uint64]bool)}
}

func (b *broker) sender(string) Sender { return &fakeSender{b: b} }

type fakeSender struct {
	b      *broker
	closed bool
}

func (s *fakeSender) Send(ctx context.Context, t Target, e *Envelope, r Receipt) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b := s.b
	b.mu.Lock()
	n := len(b.published)
	b.published = append(b.published, published{t.String(), e.MessageID, string(e.Body), e.Clone()})
	var err error
	if b.answer != nil {
		err = b.answer(n, t, e)
	}
	if errors.Is(err, ErrUnsendable) {
		b.mu.Unlock()
		return err
	}
	if b.hold {
		b.receipts = append(b.receipts, func() { r.Settle(err) })
		b.mu.Unlock()
		return nil
	}
	b.mu.Unlock()
	r.Settle(err)
	return nil
}

func (s *fakeSender) Close() { s.closed = true }

// release answers what was held.
func (b *broker) release() {
	b.mu.Lock()
	receipts := b.receipts
	b.receipts, b.hold = nil, false
	b.mu.Unlock()
	for _, r := range receipts {
		r()
	}
}

type fakeSettler struct {
	b       *broker
	session uint64
}

func (s fakeSettler) say(tag uint64, what string) {
	if s.b.settling != nil {
		s.b.settling()
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.settled[tag] = append(s.b.settled[tag], what)
}
func (s fakeSettler) Ack(tag uint64)     { s.say(tag, "ack") }
func (s fakeSettler) Requeue(tag uint64) { s.say(tag, "requeue") }
func (s fakeSettler) Live() bool {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return !s.b.dead[s.session]
}

// deliver hands in one message and returns its tag.
func (b *broker) deliver(id, body string, change ...func(*Envelope)) uint64 {
	b.mu.Lock()
	b.tag++
	d := &Delivery{Envelope: NewEnvelope(map[string]any{}, []byte(body)), Tag: b.tag, Settler: fakeSettler{b, b.session}}
	b.mu.Unlock()
	d.Envelope.MessageID = id
	d.Envelope.Origin = Origin{Queue: "in", Received: time.Now()}
	for _, c := range change {
		c(&d.Envelope)
	}
	b.feed <- d
	return d.Tag
}

func (b *broker) Listen(ctx context.Context, src Source, handle func(*Delivery)) error {
	for {
		select {
		case d := <-b.feed:
			handle(d)
		case <-ctx.Done():
			deadline := time.Now().Add(src.DrainTimeout)
			for time.Now().Before(deadline) && b.unsettled() > 0 {
				time.Sleep(time.Millisecond) // virtual time
			}
			return nil
		}
	}
}

func (b *broker) unsettled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for tag := uint64(1); tag <= b.tag; tag++ {
		if len(b.settled[tag]) == 0 {
			n++
		}
	}
	return n
}

func (b *broker) said(tag uint64) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprint(b.settled[tag])
}

// sent returns the targets and ids published so far.
func (b *broker) sent() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, p := range b.published {
		all = append(all, p.Target+" "+p.ID)
	}
	return all
}

// filter is a FilterSource made of functions.
type filter struct {
	name   string
	stages map[Stage]func(*Envelope, *Decision) error
}

func (f *filter) Name() string { return f.name }
func (f *filter) Stages() StageSet {
	var set StageSet
	for s := range f.stages {
		set = set.With(s)
	}
	return set
}
func (f *filter) Instance(context.Context) (Filter, error) { return f, nil }
func (f *filter) Close()                                   {}
func (f *filter) Run(_ context.Context, s Stage, e *Envelope, d *Decision) error {
	return f.stages[s](e, d)
}

func decide(fn func(*Envelope, *Decision) error) *filter {
	return &filter{name: "decider", stages: map[Stage]func(*Envelope, *Decision) error{Decide: fn}}
}

func queue(name string) Target { return Target{Kind: TargetQueue, Queue: name} }

func config(b *broker, change ...func(*RouteConfig)) RouteConfig {
	allow, _ := NewAllow([]string{"*"})
	cfg := RouteConfig{
		Name:   "r",
		Source: Source{Queue: "in", Prefetch: 100, DrainTimeout: 5 * time.Second},
		Send:   []Target{queue("out")}, Allow: allow, Lanes: 1,
		Retry:      RetryPolicy{MaxAttempts: 3, Backoff: 100 * time.Millisecond, MaxBackoff: time.Second},
		DeadLetter: queue("in.dead"), MaxMessage: 1 << 20, DedupWindow: 100, DedupTTL: time.Minute,
		Listener: b, NewSender: b.sender,
	}
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

// start runs a route and returns what stops it and waits.
func start(t *testing.T, cfg RouteConfig) (*Route, func()) {
	t.Helper()
	r, err := NewRoute(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return r, func() { cancel(); run.Wait() }
}
