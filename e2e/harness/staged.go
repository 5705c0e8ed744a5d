package harness

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// Staged is a trial of many faults on one cluster, each in a stage of its own with its
// share of the load, so that every fault meets messages on their way however long the
// cluster takes to recover from the one before. Source, target and dead letters are in
// quorum queues.
//
// The order of calls is NewStaged, Begin, any number of Stage, End.
type Staged struct {
	*Trial
	stages, stage int // how many there are, and were
}

// NewStaged declares the queues by way of n; the stages share the load evenly.
func NewStaged(t *testing.T, n *rabbitnode.Node, load Load, stages int) *Staged {
	t.Helper()
	return &Staged{Trial: newTrial(t, n, load, quorum), stages: stages}
}

// Without a single active consumer a quorum queue gives its next consumer later messages
// before those that the last one had.
var quorum = amqp091.Table{"x-queue-type": "quorum", "x-single-active-consumer": true}

// Begin is [Trial.Begin] with the queues in the configuration.
func (s *Staged) Begin(url string, more ...string) {
	s.T.Helper()
	for _, q := range []string{s.In, s.Out, s.Dead} {
		more = append(more, fmt.Sprintf("[queues.%q]\ntype = \"quorum\"\narguments = { x-single-active-consumer = true }", q))
	}
	s.Trial.Begin(url, more...)
}

// Stage sends the next share of the load and, when a tenth of it has gone through,
// lets the fault strike. It returns when all of the share has gone through, with the
// fault still there unless strike has mended it, and notes the longest time in which
// the router settled nothing. Sound is a node that the fault does not touch.
func (s *Staged) Stage(fault string, sound *rabbitnode.Node, strike func()) {
	s.T.Helper()
	s.Node = sound
	share := s.Load.Count / s.stages
	from, end := s.stage*share, (s.stage+1)*share
	if s.stage++; s.stage == s.stages {
		end = s.Load.Count
	}
	before := s.settled()
	c := Dial(s.T, sound)
	if err := c.FillPart(s.In, s.Load, s.Audit, from, end); err != nil {
		s.T.Fatal(err)
	}
	c.Close()
	Await(s.T, "a tenth of the stage", func() (bool, string) {
		now := s.settled()
		return now >= before+float64(share/10), fmt.Sprintf("%.0f settled, %.0f before", now, before)
	})
	s.Struck(fault)
	last, since, longest := s.settled(), time.Now(), time.Duration(0)
	strike()
	Await(s.T, "the stage's messages to go through", func() (bool, string) {
		if now := s.settled(); now > last {
			longest = max(longest, time.Since(since))
			last, since = now, time.Now()
			if now < before+float64(end-from) {
				return false, fmt.Sprintf("%.0f of %d settled", now-before, end-from)
			}
		}
		left, err := s.Node.QueueLen(s.T.Context(), s.In)
		return err == nil && left == 0, fmt.Sprintf("%d left, %v", left, err)
	})
	s.result.Recoveries = append(s.result.Recoveries, longest.Seconds())
	s.Note(fault, "%.1f s at most without a message", longest.Seconds())
}
