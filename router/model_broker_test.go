package router

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// scenario is one run of the model: a route, its messages, and what goes wrong.
type scenario struct {
	Order    Order
	Lanes    int
	Prefetch int
	Room     int // publishes in flight per sender
	Dedup    bool
	OnError  Policy
	Messages []plan
	Sends    []outcome       // what becomes of the publishes, by number; later ones are confirmed
	Losses   []time.Duration // when the consumer's session is lost
	Stop     time.Duration   // 0: once everything is settled
}

// plan is what the filter does with one message.
type plan struct {
	Key     int
	Targets []int  // queues to forward to; the same twice is allowed
	Action  Action // Forward, Drop or Reject
	Retry   int    // so often the filter asks to try again first
	Fail    int    // so often the filter fails first
}

// outcome is what becomes of one publish.
type outcome struct {
	What  string // confirm, nack, return, lose, unsendable
	Delay time.Duration
	Block time.Duration // Send waits before it publishes
}

// model is a broker in memory that judges what the route does with it.
type model struct {
	scenario
	mu       sync.Mutex
	errors   []string
	queue    []queued // ready, in the order of the messages
	session  *modelSession
	sessions []*modelSession
	acked    map[int]bool
	sends    int
	arrived  map[string][]int // target → messages in the order of arriving
	// When "message target" was confirmed first, and when it failed and was not
	// sent again since. What happens at one instant has no order, so that only
	// what is older counts.
	got, owed map[string]time.Time
	filtered  map[int]int   // message → calls of the filter
	change    chan struct{} // holds a token: the queue or the session has changed
}

type queued struct {
	message     int
	redelivered bool
}

// tagsPerSession tells by a tag which session it is of.
const tagsPerSession = 1 << 20

// modelSession settles the deliveries of one consumer.
type modelSession struct {
	m    *model
	tag  uint64
	open map[uint64]queued
	said map[uint64]string
	done map[string]bool // places that were confirmed
	dead bool
	over chan struct{}
}

func newModel(s scenario) *model {
	m := &model{
		scenario: s, acked: map[int]bool{}, arrived: map[string][]int{}, got: map[string]time.Time{},
		owed: map[string]time.Time{}, filtered: map[int]int{},
	}
	for i := range s.Messages {
		m.queue = append(m.queue, queued{message: i})
	}
	return m
}

// wrong notes a violation; mu is held.
func (m *model) wrong(format string, args ...any) {
	m.errors = append(m.errors, fmt.Sprintf(format, args...))
}

func (m *model) kick() {
	select {
	case m.change <- struct{}{}:
	default:
	}
}

// Listen implements Listener.
func (m *model) Listen(ctx context.Context, source Source, handle func(*Delivery)) error {
	for ctx.Err() == nil {
		s := &modelSession{m: m, open: map[uint64]queued{}, said: map[uint64]string{}, done: map[string]bool{}, over: make(chan struct{})}
		m.mu.Lock()
		s.tag = uint64(len(m.sessions)) * tagsPerSession
		m.session, m.sessions = s, append(m.sessions, s)
		m.mu.Unlock()
		for !s.ended() && ctx.Err() == nil {
			d := s.next(source.Prefetch)
			if d != nil {
				handle(d)
				continue
			}
			select {
			case <-m.change:
			case <-s.over:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			timeout := time.After(source.DrainTimeout)
			for left := true; left; {
				m.mu.Lock()
				left = len(s.open) > 0 && !s.dead
				m.mu.Unlock()
				if !left {
					break
				}
				select {
				case <-m.change:
				case <-timeout:
					left = false
				}
			}
			m.lose(s)
		}
	}
	return nil
}

func (s *modelSession) ended() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

func (s *modelSession) next(prefetch int) *Delivery {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.dead || len(m.queue) == 0 || len(s.open) >= prefetch {
		return nil
	}
	q := m.queue[0]
	m.queue = m.queue[1:]
	s.tag++
	s.open[s.tag] = q
	id := strconv.Itoa(q.message)
	d := &Delivery{Envelope: NewEnvelope(nil, []byte("body "+id)), Settler: s, Tag: s.tag}
	d.Envelope.MessageID = id
	d.Envelope.Origin.RoutingKey = strconv.Itoa(m.Messages[q.message].Key)
	d.Envelope.Origin.Redelivered = q.redelivered
	d.Envelope.Origin.Received = time.Now()
	d.Envelope.Type = strconv.FormatUint(s.tag, 10)
	return d
}

// lose ends a session; what is open comes again, in its old place.
func (m *model) lose(s *modelSession) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s == nil || s.dead {
		return
	}
	s.dead = true
	close(s.over)
	clear(m.owed)
	for _, q := range s.open {
		m.queue = append(m.queue, queued{q.message, true})
	}
	clear(s.open)
	m.sortQueue()
}

func (m *model) sortQueue() {
	slices.SortFunc(m.queue, func(a, b queued) int { return a.message - b.message })
	m.kick()
}

// Live implements Settler.
func (s *modelSession) Live() bool {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return !s.dead
}

// Ack implements Settler.
func (s *modelSession) Ack(tag uint64) {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	q, ok := s.settle(tag, "ack")
	if !ok {
		return
	}
	m.acked[q.message] = true
	p := m.Messages[q.message]
	id := strconv.Itoa(q.message)
	if p.Action == Drop || m.has(id+" queue:dead") || (m.OnError == PolicyDrop && p.Fail > 0) {
		return
	}
	if p.Action == Reject {
		m.wrong("message %d was rejected and acknowledged without a dead letter", q.message)
	}
	for _, t := range p.Targets {
		if !m.has(id + " " + queue("q"+strconv.Itoa(t)).String()) {
			m.wrong("message %d was acknowledged without a confirm from target %d", q.message, t)
		}
	}
}

// has reports whether a message was confirmed at a target.
func (m *model) has(name string) bool {
	_, ok := m.got[name]
	return ok
}

// Requeue implements Settler.
func (s *modelSession) Requeue(tag uint64) {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if q, ok := s.settle(tag, "requeue"); ok {
		m.queue = append(m.queue, queued{q.message, true})
		m.sortQueue()
	}
}

// settle notes what became of a delivery; mu is held.
func (s *modelSession) settle(tag uint64, what string) (queued, bool) {
	if before, ok := s.said[tag]; ok {
		s.m.wrong("delivery %d was settled twice: %s, %s", tag, before, what)
	}
	s.said[tag] = what
	q, ok := s.open[tag]
	delete(s.open, tag)
	s.m.kick()
	return q, ok && !s.dead
}

// modelSender publishes to the model; its goroutine settles in order.
type modelSender struct {
	m        *model
	mu       sync.Mutex
	pending  []modelPublish
	losing   bool
	change   chan struct{}
	stop     chan struct{}
	done     chan struct{}
	stopOnce sync.Once
}

type modelPublish struct {
	receipt Receipt
	outcome outcome
	due     time.Time
	name    string // message and target
	place   string // message, target and place among its like
	session *modelSession
}

func (m *model) sender(string) Sender {
	s := &modelSender{m: m, change: make(chan struct{}, 2), stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *modelSender) kick() {
	select {
	case s.change <- struct{}{}:
	default:
	}
}

// Send implements Sender.
func (s *modelSender) Send(ctx context.Context, t Target, e *Envelope, r Receipt) error {
	m := s.m
	m.mu.Lock()
	out := outcome{What: "confirm"}
	if m.sends < len(m.Sends) {
		out = m.Sends[m.sends]
	}
	m.sends++
	if m.Dedup && e.Origin.Redelivered && earlier(m.got, e.MessageID+" "+t.String()) && !m.twins(e.MessageID, t) {
		m.wrong("message %s is a known duplicate for %s and was sent", e.MessageID, t)
	}
	if out.What == "unsendable" {
		nth, _ := e.Header("nth")
		delete(m.owed, fmt.Sprint(e.MessageID, " ", t, " ", nth)) // it becomes a dead letter
	}
	m.mu.Unlock()
	if out.What == "unsendable" {
		return fmt.Errorf("%w: model", ErrUnsendable)
	}
	if out.Block > 0 {
		select {
		case <-time.After(out.Block):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for {
		s.mu.Lock()
		room := len(s.pending) < m.Room && !s.losing
		s.mu.Unlock()
		if room {
			break
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p := m.publish(t, e, out)
	p.receipt = r
	s.mu.Lock()
	s.pending = append(s.pending, p)
	s.mu.Unlock()
	s.kick()
	return nil
}

func earlier(when map[string]time.Time, name string) bool {
	at, ok := when[name]
	return ok && at.Before(time.Now())
}

// twins reports whether a message goes to a target more than once.
func (m *model) twins(id string, t Target) bool {
	i, _ := strconv.Atoi(id)
	n := 0
	for _, q := range m.Messages[i].Targets {
		if queue("q"+strconv.Itoa(q)) == t {
			n++
		}
	}
	return n > 1
}

// publish judges one publish and lets it arrive, if it does.
func (m *model) publish(t Target, e *Envelope, out outcome) modelPublish {
	m.mu.Lock()
	defer m.mu.Unlock()
	message, _ := strconv.Atoi(e.MessageID)
	delivery, _ := strconv.Atoi(e.Type)
	nth, _ := e.Header("nth")
	p := modelPublish{
		outcome: out, due: time.Now().Add(out.Delay), session: m.sessions[delivery/tagsPerSession],
		name:  e.MessageID + " " + t.String(),
		place: fmt.Sprint(e.MessageID, " ", t, " ", nth),
	}
	if p.session.done[p.place] {
		m.wrong("message %s was sent again to %s, which had confirmed it", e.MessageID, t)
	}
	dead := t.Queue == "dead"
	if m.Order != OrderNone && !dead {
		for older := range message {
			for _, nth := range [...]any{nil, int64(2), int64(3)} {
				if m.same(older, message) && !m.has(fmt.Sprint(older, " ", t)) && earlier(m.owed, fmt.Sprint(older, " ", t, " ", nth)) {
					m.wrong("message %d overtakes %d, which has to be sent to %s again", message, older, t)
				}
			}
		}
	}
	delete(m.owed, p.place)
	if dead {
		for place := range m.owed {
			if strings.HasPrefix(place, e.MessageID+" ") {
				delete(m.owed, place)
			}
		}
	}
	if out.What == "confirm" || out.What == "lose" && m.sends%2 == 0 {
		m.arrived[t.String()] = append(m.arrived[t.String()], message)
	}
	return p
}

// same reports whether two messages are to keep their order.
func (m *model) same(a, b int) bool {
	return m.Order == OrderQueue || m.Messages[a].Key == m.Messages[b].Key
}

func (s *modelSender) run() {
	defer close(s.done)
	for {
		s.mu.Lock()
		var first *modelPublish
		if len(s.pending) > 0 {
			first = &s.pending[0]
		}
		s.mu.Unlock()
		if first == nil {
			select {
			case <-s.change:
			case <-s.stop:
				return
			}
			continue
		}
		select {
		case <-time.After(time.Until(first.due)):
		case <-s.stop:
			s.fail()
			return
		}
		switch first.outcome.What {
		case "confirm":
			s.settle(1, nil)
		case "nack":
			s.settle(1, fmt.Errorf("%w: model", ErrNacked))
		case "return":
			s.settle(1, fmt.Errorf("%w: model", ErrUnroutable))
		case "lose":
			s.fail()
		}
	}
}

// fail loses the channel: all that is under way is unconfirmed, and settled
// before anything is published on the next.
func (s *modelSender) fail() {
	s.mu.Lock()
	n := len(s.pending)
	s.losing = true
	s.mu.Unlock()
	s.settle(n, fmt.Errorf("%w: model", ErrUnconfirmed))
	s.mu.Lock()
	s.losing = false
	s.mu.Unlock()
}

func (s *modelSender) settle(n int, err error) {
	for range n {
		s.mu.Lock()
		p := s.pending[0]
		s.pending = s.pending[1:]
		s.mu.Unlock()
		s.m.settled(&p, err)
		p.receipt.Settle(err)
	}
}

func (m *model) settled(p *modelPublish, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		if !m.has(p.name) {
			m.got[p.name] = time.Now()
		}
		p.session.done[p.place] = true
	case p.outcome.What != "return" && !p.session.dead:
		m.owed[p.place] = time.Now()
	}
}

// Close implements Sender.
func (s *modelSender) Close() {
	s.stopOnce.Do(func() { close(s.stop) })
	<-s.done
}
