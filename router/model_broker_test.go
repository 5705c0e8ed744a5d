package router

import (
	"context"
	"fmt"
	"slices"
	"strconv"
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
	Rest    int    // so often it rests first, each time for RestFor
	RestFor time.Duration
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
	rested    map[int]int   // message → calls while it rested
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
		owed: map[string]time.Time{}, filtered: map[int]int{}, rested: map[int]int{},
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
