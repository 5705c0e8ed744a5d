package router

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

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
	if t.Queue == "dead" { // it goes nowhere else any more, and others need not wait
		for place := range m.owed {
			if strings.HasPrefix(place, e.MessageID+" ") {
				delete(m.owed, place)
			}
		}
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
