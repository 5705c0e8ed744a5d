package recording

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/router"
)

// SendOptions say what is sent again, and how.
type SendOptions struct {
	Files  []string
	Routes []string      // whose messages; none are all
	To     router.Target // where to; the zero Target is the queue that each came from
	Rate   float64       // messages a second, above 0
	// Progress, if set, is told of each message that a queue has.
	Progress func(sent int)
}

// Resent is what came of it.
type Resent struct {
	Sent   int      `json:"sent"`   // that a queue has
	Failed int      `json:"failed"` // that none has
	Torn   []string `json:"torn,omitempty"`
}

// maxFailed is after how many failures nothing more is sent: what is wrong is
// not one message.
const maxFailed = 100

// Send sends the messages of recordings, as they were received, to a queue again.
// It returns when each is confirmed or has failed; the error tells of those, and of
// the end of ctx. A message that has failed may have arrived all the same if its
// confirm was lost.
func Send(ctx context.Context, sender router.Sender, o SendOptions) (*Resent, error) {
	s := &sending{report: &Resent{}, progress: o.Progress}
	wanted := wanted(o.Routes)
	pace := time.NewTicker(max(time.Duration(float64(time.Second)/o.Rate), 1))
	defer pace.Stop()
	first := true
	torn, err := each(o.Files, func(_ int, r *record.Record) error {
		if !wanted(r.Route) {
			return nil
		}
		if !first {
			select {
			case <-pace.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		first = false
		if err := s.tooMany(); err != nil {
			return err
		}
		return s.send(ctx, sender, r, o.To)
	})
	s.open.Wait()
	s.report.Torn = torn
	if err == nil && s.report.Failed > 0 {
		err = fmt.Errorf("%d messages have not arrived; the first: %w", s.report.Failed, s.first)
	}
	return s.report, err
}

// sending counts what becomes of messages.
type sending struct {
	open     sync.WaitGroup
	progress func(int)

	mu     sync.Mutex
	report *Resent
	first  error
}

func (s *sending) send(ctx context.Context, sender router.Sender, r *record.Record, to router.Target) error {
	if to == (router.Target{}) {
		to = router.Target{Kind: router.TargetQueue, Queue: r.Received.Origin.Queue}
	}
	s.open.Add(1)
	if err := sender.Send(ctx, to, &r.Received, &receipt{s, to}); err != nil {
		if ctx.Err() != nil {
			s.open.Done()
			return context.Cause(ctx)
		}
		(&receipt{s, to}).Settle(err)
	}
	return nil
}

func (s *sending) tooMany() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.report.Failed >= maxFailed {
		return fmt.Errorf("%d messages have not arrived, no more are sent; the first: %w", s.report.Failed, s.first)
	}
	return nil
}

// receipt counts one message.
type receipt struct {
	s  *sending
	to router.Target
}

// Settle implements [router.Receipt].
func (r *receipt) Settle(err error) {
	defer r.s.open.Done()
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if err != nil {
		r.s.report.Failed++
		if r.s.first == nil {
			r.s.first = fmt.Errorf("%s: %w", r.to, err)
		}
		return
	}
	r.s.report.Sent++
	if r.s.progress != nil {
		r.s.progress(r.s.report.Sent)
	}
}
