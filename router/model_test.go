package router

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func drawScenario(t *rapid.T) scenario {
	ms := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
	}
	s := scenario{
		Order:    rapid.SampledFrom([]Order{OrderQueue, OrderKey, OrderNone}).Draw(t, "order"),
		Lanes:    1,
		Prefetch: rapid.IntRange(1, 8).Draw(t, "prefetch"),
		Room:     rapid.IntRange(1, 6).Draw(t, "room"),
		Dedup:    rapid.Bool().Draw(t, "dedup"),
		OnError:  rapid.SampledFrom([]Policy{PolicyDeadLetter, PolicyRetry, PolicyDrop}).Draw(t, "on_error"),
	}
	if s.Order != OrderQueue {
		s.Lanes = rapid.IntRange(1, 3).Draw(t, "lanes")
	}
	s.Messages = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) plan {
		p := plan{
			Key:     rapid.IntRange(0, 2).Draw(t, "key"),
			Action:  rapid.SampledFrom([]Action{Forward, Forward, Forward, Forward, Drop, Reject}).Draw(t, "action"),
			Targets: rapid.SliceOfN(rapid.IntRange(0, 3), 1, 3).Draw(t, "targets"),
		}
		switch rapid.IntRange(0, 9).Draw(t, "trouble") {
		case 0:
			p.Retry = rapid.IntRange(1, 4).Draw(t, "retry")
		case 1:
			p.Fail = rapid.IntRange(1, 4).Draw(t, "fail")
		case 2:
			p.Rest, p.RestFor = rapid.IntRange(1, 3).Draw(t, "rest"), ms("rest for", 1000)
		}
		return p
	}), 1, 20).Draw(t, "messages")
	s.Sends = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) outcome {
		return outcome{
			What: rapid.SampledFrom([]string{
				"confirm", "confirm", "confirm", "confirm", "confirm", "nack", "return", "lose", "unsendable",
			}).Draw(t, "what"),
			Delay: ms("delay", 40),
			Block: rapid.SampledFrom([]time.Duration{0, 0, 0, 20 * time.Millisecond, 10 * time.Second}).Draw(t, "block"),
		}
	}), 0, 60).Draw(t, "sends")
	s.Losses = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration { return ms("loss", 1000) }), 0, 3).Draw(t, "losses")
	if rapid.Bool().Draw(t, "stops early") {
		s.Stop = ms("stop", 1000) + 1
	}
	return s
}

// filter does with each message what its plan says.
func (m *model) filter() *filter {
	return decide(func(e *Envelope, d *Decision) error {
		i, _ := strconv.Atoi(e.MessageID)
		p := m.Messages[i]
		m.mu.Lock()
		if m.rested[i] < p.Rest {
			m.rested[i]++
			m.mu.Unlock()
			return &RestError{Filter: "model", After: p.RestFor, Err: errors.New("as planned")}
		}
		m.filtered[i]++
		call := m.filtered[i]
		m.mu.Unlock()
		switch {
		case call <= p.Fail:
			return &FilterError{Filter: "model", Stage: Decide, Class: "trap", Err: errors.New("as planned")}
		case call <= p.Fail+p.Retry:
			d.Action = Retry
			return nil
		}
		d.Action = p.Action
		if p.Action == Forward {
			seen := map[int]int64{}
			for _, t := range p.Targets {
				if seen[t]++; seen[t] == 1 {
					d.Targets = append(d.Targets, queue("q"+strconv.Itoa(t)))
					continue
				}
				twin := e.Clone()
				twin.SetHeader("nth", seen[t])
				d.Emitted = append(d.Emitted, Emission{twin, []Target{queue("q" + strconv.Itoa(t))}})
			}
		}
		return nil
	})
}

func TestRouteHoldsItsPromises(t *testing.T) {
	for round := range 8 { // each of rapid's usual number of scenarios
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				m := newModel(drawScenario(rt))
				synctest.Test(t, func(t *testing.T) { m.runScenario(t) })
				for _, e := range m.errors {
					rt.Error(e)
				}
			})
		})
	}
}

func (m *model) runScenario(t *testing.T) {
	m.change = make(chan struct{}, 1) // here: it belongs to the bubble
	key, err := ParseOrderKey("routing_key")
	if err != nil {
		t.Fatal(err)
	}
	r, stop := start(t, config(nil, func(c *RouteConfig) {
		c.Order, c.OrderBy, c.Lanes, c.OnError = m.Order, key, m.Lanes, m.OnError
		c.Source.Prefetch = m.Prefetch
		c.Filters = []RouteFilter{{Source: m.filter()}}
		c.DeadLetter = queue("dead")
		c.Listener, c.NewSender = m, m.sender
		if !m.Dedup {
			c.DedupWindow = 0
		}
		c.DedupTTL = 0
	}))
	for _, at := range m.Losses {
		time.AfterFunc(at, func() {
			m.mu.Lock()
			s := m.session
			m.mu.Unlock()
			m.lose(s)
		})
	}
	if m.Stop > 0 {
		time.Sleep(m.Stop)
	} else {
		time.Sleep(time.Hour) // of virtual time: whatever can be settled is
	}
	m.mu.Lock()
	settled := len(m.acked)
	m.mu.Unlock()
	began := time.Now()
	stop()
	if took := time.Since(began); took > 10*time.Second {
		m.wrong("stopping took %v", took)
	}
	st := r.Stat()
	if st.Inflight != 0 || st.Held != 0 {
		m.wrong("%d in flight and %d held after the end", st.Inflight, st.Held)
	}
	var sum uint64
	for _, n := range st.Settled {
		sum += n
	}
	if sum != st.Received {
		m.wrong("%d received, %d settled: %v", st.Received, sum, st.Settled)
	}
	if len(m.acked)+len(m.queue) < len(m.Messages) {
		m.wrong("%d acknowledged and %d in the queue, of %d", len(m.acked), len(m.queue), len(m.Messages))
	}
	if m.Stop == 0 && settled != len(m.Messages) {
		m.wrong("%d of %d messages settled after an hour: %+v", settled, len(m.Messages), st)
	}
	if len(m.Sends) == 0 && len(m.Losses) == 0 {
		m.inOrder()
	}
	time.Sleep(2 * time.Second) // losses that were planned for later
}

// inOrder demands, where nothing went wrong outside, that every target got its
// messages in their order.
func (m *model) inOrder() {
	if m.Order == OrderNone {
		return
	}
	for target, messages := range m.arrived {
		if target == "queue:dead" {
			continue
		}
		for i, later := range messages {
			for _, before := range messages[:i] {
				if before > later && m.same(before, later) {
					m.wrong("%s got %d after %d", target, later, before)
				}
			}
		}
	}
}
