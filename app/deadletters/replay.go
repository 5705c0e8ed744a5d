package deadletters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/router"
)

// Bounds of a replay.
const (
	window       = 32   // letters on their way: so many may arrive twice after a kill
	maxLosses    = 5    // of connections in a row without a letter in between
	maxFailures  = 1000 // letters that cannot be sent, until it gives up
	keptFailures = 20   // of them, those that a Result names
	lastAcked    = 4096 // acknowledgements that may be lost with a connection: a batch
)

// sessionLimit bounds a walk that leaves letters; RabbitMQ's consumer timeout is 30
// minutes. Only tests change it.
var sessionLimit = 10 * time.Minute

// Replay says which letters are sent again, how and where to.
type Replay struct {
	Selection Selection
	// To is where they go; the zero Target is where each came from.
	To router.Target
	// Edit changes each message before it is sent; nil changes none.
	Edit *Editor
	// Rate is how many are sent in a second at most; 0 is no bound.
	Rate float64
	// Limit is how many are sent at most; 0 is no bound.
	Limit int
	// DryRun does everything but send and remove.
	DryRun bool
	// Each, if set, is told of each letter that was selected, when it is settled. It
	// must not keep what it gets.
	Each func(Sent)
}

// Sent is what became of one letter.
type Sent struct {
	Letter  *Letter
	Message *router.Envelope // as it was sent, or would have been; nil if it did not come to that
	Target  router.Target
	Err     error // why it stays; nil if it is gone, or would be
}

// Result is what a replay has come to.
type Result struct {
	Scan
	Replayed int       `json:"replayed"` // confirmed by the broker, and taken out of the queue
	Failed   int       `json:"failed"`   // not confirmed, and still there
	Failures []Failure `json:"failures"` // the first 20 of them
	Missing  []string  `json:"missing"`  // ids that were not found
}

// Failure is why a letter stays.
type Failure struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

// Replay sends letters again: each is published, mandatory, and taken out of the
// queue when the broker has confirmed that another queue has it. So nothing is lost,
// whatever ends it when; what was on its way then, 32 letters at most, may have arrived
// and be sent another time. So may, when the connection that letters are taken from is
// lost or the process killed, those of which the acknowledgement is lost: a batch at
// most, which is 256 letters, or of a quorum queue 32, and up to 4,096 where many stay.
// They are sent again, since a letter that is alike in every bit may be another one.
// A letter that cannot be sent stays, and Result says why.
//
// A message is sent as the route received it, without x-router-* headers and without
// CC, whose copies have been made before. What comes into the queue after the replay
// has begun is not part of it.
func (q *Queue) Replay(ctx context.Context, o Replay) (Result, error) {
	r := &replay{
		queue: q, Replay: o, pick: o.Selection.picker(time.Now()),
		results: make(chan sending, window), failed: map[string]bool{},
	}
	r.result.Failures, r.result.Missing = []Failure{}, []string{}
	err := r.run(ctx)
	r.result.Missing = append(r.result.Missing, r.pick.wanted...)
	return r.result, err
}

// replay is a Replay at work.
type replay struct {
	queue *Queue
	Replay
	pick   *picker
	result Result

	w       *walk
	open    int             // letters on their way
	results chan sending    // of those
	began   int             // sent or on their way
	next    time.Time       // not before which one is sent
	left    int             // letters of the beginning that are still in front
	acked   int             // letters, in this session
	failed  map[string]bool // ids of letters that are not tried again
}

// sending is a letter on its way.
type sending struct {
	letter *Letter
	env    *router.Envelope
	to     router.Target
	err    error
}

// ticket is the receipt of a letter on its way.
type ticket struct {
	sending
	to chan<- sending // has room for all
}

// Settle implements [router.Receipt].
func (t *ticket) Settle(err error) {
	t.err = err
	t.to <- t.sending
}

// again ends a session that is followed by another.
var errAgain = errors.New("begin anew")

func (r *replay) run(ctx context.Context) error {
	for losses := 0; ; {
		before := r.result.Replayed
		err := r.session(ctx)
		if r.result.Replayed > before {
			losses = 0
		}
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, errStop), r.DryRun:
			return err
		case errors.Is(err, errAgain) && r.left > 0:
			continue
		case errors.Is(err, errAgain):
			return nil
		case amqp.IsRefusal(err), amqp.IsMissing(err), errors.Is(err, router.ErrClosed), losses == maxLosses || r.left <= 0:
			return err
		}
		losses++
		if !pause(ctx, time.Second<<losses/4) {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errStop is wrapped by errors that another session would meet again.
var errStop = errors.New("gave up")

// session is one walk along what is left.
func (r *replay) session(ctx context.Context) error {
	most := r.left
	if r.Limit > 0 && r.Selection.All() {
		most = r.Limit // no more is asked for
	}
	w, err := r.queue.walk(ctx, most)
	if err != nil {
		return err
	}
	r.w = w
	if r.left == 0 {
		r.left = w.s.Ready()
		r.result.Ready = r.left
	}
	before := r.left
	since := time.Now()
	for err == nil {
		switch {
		case r.pick.done(), r.Limit > 0 && r.began >= r.Limit:
			err = io.EOF
		case w.kept > 0 && !r.DryRun && time.Since(since) > sessionLimit:
			err = errAgain
		default:
			err = r.step(ctx)
		}
	}
	err = r.rest(ctx, err)
	closed := w.close(ctx)
	r.left -= w.renewed
	r.result.Scanned = max(r.result.Scanned, w.seen)
	r.result.Renewed += w.renewed
	r.result.AtRisk += w.atRisk
	if w.unsure {
		r.left += min(r.acked, lastAcked)
	}
	r.acked = 0
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errAgain) && closed != nil:
		err = nil
	case errors.Is(err, errAgain) && r.left >= before:
		err = fmt.Errorf("%w: in %v none of the first %d letters of %s could be sent and taken out, and the next walk would meet the same ones; "+
			"replay or purge those in front first", errStop, sessionLimit, w.seen, r.queue.Name)
	}
	return errors.Join(err, closed)
}

// rest waits for the letters that are on their way: for the broker's answers, and when
// ctx has ended only for a while. It returns err, or what came first.
func (r *replay) rest(ctx context.Context, err error) error {
	ctx, cancel := outlive(ctx)
	defer cancel()
	late := ctx.Done()
	for r.open > 0 {
		select {
		case s := <-r.results:
			if failed := r.settled(ctx, s); err == nil {
				err = failed
			}
		case <-late:
			r.w.stopSending() // which settles them
			late = nil
		}
	}
	return err
}

// step looks at the next letter.
func (r *replay) step(ctx context.Context) error {
	for r.open == window || len(r.results) > 0 {
		select {
		case s := <-r.results:
			if err := r.settled(ctx, s); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	l, err := r.w.next(ctx)
	if err != nil {
		return err
	}
	if r.failed[l.ID] || !r.pick.takes(l) {
		return r.w.leave(ctx, l)
	}
	r.result.Matched++
	s := sending{letter: l}
	if s.env, s.to, err = r.message(ctx, l); err != nil {
		s.err = err
		r.open++
		return r.settled(ctx, s)
	}
	if err := r.wait(ctx); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return errors.Join(err, r.w.leave(ctx, l))
	}
	r.began++
	r.open++
	if r.DryRun {
		return r.settled(ctx, s)
	}
	err = r.w.out().Send(ctx, s.to, s.env, &ticket{s, r.results})
	if err == nil {
		return nil
	}
	s.err = err
	return r.settled(ctx, s)
}

// message returns what is to be sent, and where to.
func (r *replay) message(ctx context.Context, l *Letter) (*router.Envelope, router.Target, error) {
	to := r.To
	if to == (router.Target{}) {
		queue := l.Queue
		if queue == "" && r.queue.Source != nil {
			queue = r.queue.Source(l.Route)
		}
		to = router.Target{Kind: router.TargetQueue, Queue: queue}
		switch {
		case queue == "":
			return nil, to, errors.New("it does not say where it came from; name a target")
		case queue == r.queue.Name:
			return nil, to, errors.New("it came from this very queue; name a target")
		}
	}
	env := l.Original.Clone()
	env.DelHeader("CC")
	env.DelHeader("BCC")
	if r.Edit != nil {
		if err := r.Edit.edit(ctx, &env, to); err != nil {
			return nil, to, err
		}
	}
	return &env, to, nil
}

// wait waits until the rate allows another letter.
func (r *replay) wait(ctx context.Context) error {
	if r.Rate <= 0 || r.DryRun {
		return ctx.Err()
	}
	every := time.Duration(float64(time.Second) / r.Rate)
	now := time.Now()
	if r.next.Before(now) {
		r.next = now
	}
	timer := time.NewTimer(r.next.Sub(now))
	defer timer.Stop()
	r.next = r.next.Add(every)
	for {
		select {
		case <-timer.C:
			return ctx.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		case s := <-r.results:
			if err := r.settled(ctx, s); err != nil {
				return err
			}
		}
	}
}

// settled notes what became of a letter.
func (r *replay) settled(ctx context.Context, s sending) error {
	r.open--
	if r.Each != nil {
		r.Each(Sent{s.letter, s.env, s.to, s.err})
	}
	switch {
	case s.err == nil && r.DryRun:
		r.result.Replayed++
		return r.w.leave(ctx, s.letter)
	case s.err == nil:
		r.result.Replayed++
		return r.gone(s.letter)
	}
	r.result.Failed++
	if len(r.result.Failures) < keptFailures {
		r.result.Failures = append(r.result.Failures, Failure{s.letter.ID, s.err.Error()})
	}
	r.failed[s.letter.ID] = true
	err := r.w.leave(ctx, s.letter)
	if len(r.failed) >= maxFailures {
		err = errors.Join(fmt.Errorf("%w after %d letters that could not be sent", errStop, maxFailures), err)
	}
	return err
}

// gone takes a letter that has arrived out of the queue.
func (r *replay) gone(l *Letter) error {
	r.acked++
	r.left--
	return r.w.s.Ack(l.tag)
}
