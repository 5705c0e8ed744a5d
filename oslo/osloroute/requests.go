package osloroute

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// Config describes the format of one route.
type Config struct {
	// Route is the route's name, which failures tell.
	Route string
	// MaxBody bounds a body, also after decompression, in bytes; ≥ 1.
	MaxBody int
	// Bare says that no filter looks at the messages, which spares showing them.
	Bare bool
	// Permits says which queues the router may reply to. It is called from all
	// lanes at once.
	Permits func(queue string) bool
	// Post takes the failures of calls that reach nobody; without it their
	// callers wait for their timeout.
	Post *Post
	// Calls makes the route a proxy: calls are made in its own name, and replies
	// to them come back through [Replies]. Nil is forward: servers answer the
	// callers themselves.
	Calls *Calls
	// Timeout is how long a proxy waits for the reply, or the next keep-alive, to
	// a call whose message has no expiration; > 0.
	Timeout time.Duration
	// MaxCalls bounds how many calls of a proxy may wait for their reply; ≥ 1.
	MaxCalls int
}

func (c *Config) validate() error {
	switch {
	case c.MaxBody < 1:
		return errors.New("osloroute: MaxBody is not positive")
	case c.Permits == nil:
		return errors.New("osloroute: Permits is missing")
	case c.Calls != nil && (c.Timeout <= 0 || c.MaxCalls < 1):
		return errors.New("osloroute: Timeout and MaxCalls of a proxy must be positive")
	}
	return nil
}

// Requests is the format of routes that take requests and notifications. It is
// safe for concurrent use.
type Requests struct{ cfg Config }

var _ router.FormatSource = (*Requests)(nil)

// NewRequests returns the format of a route.
func NewRequests(cfg Config) (*Requests, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Requests{cfg}, nil
}

// Name implements [router.FilterSource].
func (r *Requests) Name() string { return Name }

// Stages implements [router.FilterSource].
func (r *Requests) Stages() router.StageSet {
	return router.StageSet(0).With(router.Decode).With(router.Encode)
}

// Instance implements [router.FilterSource].
func (r *Requests) Instance(ctx context.Context) (router.Filter, error) { return r.Format(ctx) }

// Format implements [router.FormatSource].
func (r *Requests) Format(context.Context) (router.Format, error) {
	if r.cfg.Calls != nil {
		r.cfg.Calls.use(1)
	}
	return &requests{cfg: &r.cfg}, nil
}

// requests is the format in one lane. Between decode and encode it keeps the
// message that the lane has in hand.
type requests struct {
	cfg  *Config
	m    message
	busy bool // the message was a call too many
}

// Run implements [router.Filter].
func (r *requests) Run(_ context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	switch stage {
	case router.Decode:
		r.busy = false
		if err := r.m.open(env, r.cfg.MaxBody, r.cfg.Bare); err != nil {
			return invalid(stage, err)
		}
	case router.Encode:
		own, err := r.own(env)
		if errors.Is(err, errBusy) {
			r.busy = true
			d.Action, d.Reason = router.Drop, err.Error()
			return nil
		}
		if err == nil {
			err = r.m.seal(env, d.Emission, own)
		}
		if err != nil {
			return invalid(stage, err)
		}
	}
	return nil
}

// own makes the call that env is in the route's own name, if the route is a
// proxy, and returns what makes the message its.
func (r *requests) own(env *router.Envelope) (func(*oslo.Object) bool, error) {
	to := caller{env.CorrelationID, env.ReplyTo}
	if r.cfg.Calls == nil || r.m.given.Type != TypeCall || to.id == "" || to.queue == "" {
		return nil, nil
	}
	if !r.cfg.Permits(to.queue) {
		return nil, errForbidden(to.queue)
	}
	t := terms{max: r.cfg.MaxCalls, timeout: r.cfg.Timeout, tell: r.cfg.Post != nil}
	if ms, err := strconv.ParseUint(env.Expiration, 10, 32); err == nil {
		t.deadline = env.Origin.Received.Add(time.Duration(ms) * time.Millisecond)
	}
	id, err := r.cfg.Calls.add(to, t)
	if err != nil {
		return nil, err
	}
	return func(o *oslo.Object) bool {
		o.Set(keyMsgID, oslo.String(id))
		o.Set(keyReplyQueue, oslo.String(r.cfg.Calls.Queue()))
		return true
	}, nil
}

func errForbidden(queue string) error {
	return fmt.Errorf("replies to queue %.80q are not allowed", queue)
}

// Close implements [router.Filter].
func (r *requests) Close() {
	if r.cfg.Calls != nil {
		r.cfg.Calls.use(-1)
	}
}

// Answer implements [router.Format]: the body that filters left is the result,
// or the call has failed if they set the header [HeaderErrorClass].
func (r *requests) Answer(env *router.Envelope) (queue string, err error) {
	if r.m.given.Type != TypeCall {
		return "", nil
	}
	if !r.cfg.Permits(r.m.given.ReplyTo) {
		return "", invalid(router.Decide, errForbidden(r.m.given.ReplyTo))
	}
	// Who has seen it is to know it again, when the broker delivers the call twice.
	id := deriveID(r.m.given.ReplyTo, r.m.given.CorrelationID, "reply")
	reply := oslo.Reply{MsgID: r.m.given.CorrelationID, UniqueID: id, Ending: true}
	if reply.Failure = failureOf(env); reply.Failure == nil && len(env.Body) > 0 {
		if reply.Result, err = oslo.ParseRaw(env.Body); err != nil {
			return "", invalid(router.Decide, err)
		}
	}
	origin := env.Origin
	*env = sealReply(&reply)
	env.Origin = origin
	return r.m.given.ReplyTo, nil
}

// Lost implements [router.Format].
func (r *requests) Lost(received *router.Envelope, loss router.Loss) {
	if r.cfg.Post == nil && r.cfg.Calls == nil {
		return
	}
	to, ok := callerOf(received, r.cfg.MaxBody)
	if !ok {
		return
	}
	if r.cfg.Calls != nil {
		r.cfg.Calls.forget(idOf(to))
	}
	f := failureFor(r.cfg.Route, loss)
	if r.busy && loss.Filter == Name {
		f = oslo.Failure{Class: ClassBusy, Module: Module, Message: "route " + r.cfg.Route + ": " + loss.Text}
	}
	r.cfg.fail(to, f)
}

// fail answers a call with a failure, if that is allowed.
func (c *Config) fail(to caller, f oslo.Failure) {
	if c.Post == nil {
		return
	}
	if !c.Permits(to.queue) {
		c.Post.refused.Add(1)
		return
	}
	c.Post.send(to, f)
}

func invalid(stage router.Stage, err error) error {
	return &router.FilterError{Filter: Name, Stage: stage, Class: "invalid", Err: err}
}
