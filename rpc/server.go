package rpc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// Server answers requests. It is safe for concurrent use.
type Server struct {
	cfg  ServerConfig
	out  *outbox
	seen *lately // unique ids; nil if duplicates are not dropped
	gone *lately // reply queues that did not exist for as long as replies are retried
	held together

	counters serverCounters
	warned   seldom // of what is unreadable
	mistakes seldom // of requests that were refused
	givenUp  seldom // of replies that were
}

type serverCounters struct {
	received, casts, malformed, duplicates, failed, panics, again atomic.Uint64
	running                                                       atomic.Int64
	replies, gaveUp, toGone, keepAlives, unfit                    atomic.Uint64
}

// NewServer returns a server. It connects when it serves.
func NewServer(cfg ServerConfig) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, out: newOutbox(cfg.Sender), gone: newLately(goneQueues, goneTTL)}
	if cfg.Duplicates > 0 {
		s.seen = newLately(cfg.Duplicates, cfg.DuplicateWindow)
	}
	return s, nil
}

// Serve answers the requests of the sources with handler until ctx ends. It
// then takes no more, and returns nil when the running handlers have; after
// DrainTimeout their ctx ends, and an error that wraps [ErrStuck] tells of
// those that still run. Any other error names the source that cannot be
// listened to. What a source leaves at 0 is chosen here; its queue must exist.
func (s *Server) Serve(ctx context.Context, sources []router.Source, handler Handler) error {
	list := make([]router.Source, len(sources))
	for i, source := range sources {
		if source.Prefetch == 0 {
			source.Prefetch = s.cfg.Workers
		}
		list[i] = source
	}
	c := &crew{listener: s.cfg.Listener, workers: s.cfg.Workers, drain: s.cfg.DrainTimeout}
	return c.run(ctx, list, func(ctx context.Context, d *router.Delivery) { s.take(ctx, c, d, handler) })
}

// Close waits until ctx ends for the replies on their way, gives up the rest,
// and closes the Sender. It may be called again; call it after Serve has
// returned.
func (s *Server) Close(ctx context.Context) { s.out.close(ctx) }

// take brings one delivery to a worker.
func (s *Server) take(ctx context.Context, c *crew, d *router.Delivery, handler Handler) {
	received := time.Now()
	s.counters.received.Add(1)
	req, ticket, err := s.cfg.Format.DecodeRequest(&d.Envelope)
	j := &job{
		server: s, handler: handler, delivery: d, serving: ctx,
		in: &Incoming{Request: req, Ticket: ticket, Origin: d.Envelope.Origin},
	}
	if err != nil && !ticket.Wanted() && errors.Is(err, ErrAgain) {
		s.counters.again.Add(1)
		if !c.do(ctx, func(context.Context) { pauseAgain(ctx); d.Settler.Requeue(d.Tag) }) {
			d.Settler.Requeue(d.Tag)
		}
		return
	}
	if err != nil && (!errors.As(err, &j.refused) || !ticket.Wanted()) {
		n := s.counters.malformed.Add(1)
		if s.warned.now() {
			s.cfg.Logger.Warn("unreadable request dropped", "queue", d.Envelope.Origin.Queue, "count", n, "err", err)
		}
		d.Settler.Ack(d.Tag)
		return
	}
	if !ticket.Wanted() {
		s.counters.casts.Add(1)
	}
	if s.seen != nil && ticket.UniqueID != "" && !j.first() {
		s.counters.duplicates.Add(1)
		return
	}
	if ms, err := strconv.ParseInt(d.Envelope.Expiration, 10, 32); err == nil && ticket.Wanted() {
		j.patience = received.Add(time.Duration(ms) * time.Millisecond)
	}
	if !c.do(ctx, j.run) {
		j.giveBack()
	}
}

// job is one request on its way to an answer.
type job struct {
	server   *Server
	handler  Handler
	delivery *router.Delivery
	in       *Incoming
	serving  context.Context // ends when the server takes no more
	refused  *RemoteError    // what to answer instead of asking the handler
	patience time.Time       // until when the caller may still wait; zero is unknown
	tracked  bool            // the server's held has the delivery
	finished sync.Once
}

// first reports whether the request comes for the first time. Otherwise its
// delivery is settled: at once, or with the one that is being answered.
func (j *job) first() bool {
	s, id := j.server, j.in.Ticket.UniqueID
	if s.cfg.Ack == AckLate {
		if !s.held.join(id, j.delivery) {
			return false
		}
		j.tracked = true
	}
	if s.seen.add(id) {
		return true
	}
	j.settle(router.Settler.Ack)
	return false
}

// settle settles the request's delivery, and those that came again meanwhile.
func (j *job) settle(how func(router.Settler, uint64)) {
	all := []*router.Delivery{j.delivery}
	if j.tracked {
		all = j.server.held.leave(j.in.Ticket.UniqueID)
	}
	for _, d := range all {
		how(d.Settler, d.Tag)
	}
}

// giveBack leaves the request to the broker, and to whom it gives it next.
func (j *job) giveBack() {
	if j.server.seen != nil {
		j.server.seen.forget(j.in.Ticket.UniqueID)
	}
	j.settle(router.Settler.Requeue)
}

// pauseAgain keeps a worker for a while before it gives a request back that
// cannot be handled now, which would be back at once. It ends with ctx.
func pauseAgain(ctx context.Context) {
	timer := time.NewTimer(againPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// finish acknowledges the request unless that was done early. It may be called
// again.
func (j *job) finish() {
	if j.server.cfg.Ack == AckLate {
		j.finished.Do(func() { j.settle(router.Settler.Ack) })
	}
}

// release lets go of what the request holds in memory, while its reply may wait
// for long.
func (j *job) release() {
	j.delivery.Envelope = router.Envelope{}
	j.in = &Incoming{Request: Request{Method: j.in.Method}, Ticket: j.in.Ticket, Origin: j.in.Origin}
}

func (j *job) run(ctx context.Context) {
	s := j.server
	if s.cfg.Ack == AckEarly {
		j.delivery.Settler.Ack(j.delivery.Tag)
	}
	s.counters.running.Add(1)
	defer s.counters.running.Add(-1)

	ctx, end := processing(ctx, s.cfg.Tracer, &j.delivery.Envelope)
	reply, err := j.answer(ctx)
	defer func() { end(err) }()
	if s.cfg.Ack == AckLate && err != nil && (ctx.Err() != nil || errors.Is(err, ErrAgain)) {
		s.counters.again.Add(1)
		pauseAgain(j.serving)
		j.giveBack()
		return
	}
	j.release()
	answer := Answer{Reply: reply}
	if err != nil {
		s.counters.failed.Add(1)
		if !errors.Is(err, errPanicked) {
			j.logFailure(err)
		}
		answer = Answer{Failure: failureOf(err)}
	}
	if !j.in.Ticket.Wanted() {
		j.finish()
		return
	}
	j.reply(ctx, answer)
}

// answer runs the handler, and tells the caller meanwhile that it does.
func (j *job) answer(ctx context.Context) (Reply, error) {
	if j.refused != nil {
		return Reply{}, j.refused
	}
	ctx = WithIncoming(ctx, j.in)
	if !j.patience.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, j.patience)
		defer cancel()
	}
	if every := j.in.Ticket.KeepAlive; every > 0 && j.in.Ticket.Wanted() {
		defer j.keepAlive(every)()
	}
	return j.guarded(ctx)
}

// errPanicked is wrapped by what a handler's panic becomes.
var errPanicked = errors.New("the handler panicked")

// guarded turns a panic of the handler into an error.
func (j *job) guarded(ctx context.Context) (reply Reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			j.server.counters.panics.Add(1)
			j.server.cfg.Logger.Error("handler panicked", "method", j.in.Method, "panic", fmt.Sprint(p), "stack", stack())
			err = fmt.Errorf("%w: %w", errPanicked, internalError("the server failed to answer"))
		}
	}()
	return j.handler(ctx, j.in)
}
