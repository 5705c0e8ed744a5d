package osloroute

import (
	"context"
	"errors"
	"fmt"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// Config describes the format of one route.
type Config struct {
	// Route is the route's name, which failures tell.
	Route string
	// MaxBody bounds a body, also after decompression, in bytes; ≥ 1.
	MaxBody int
	// Permits says which queues the router may reply to. It is called from all
	// lanes at once.
	Permits func(queue string) bool
	// Post takes the failures of calls that reach nobody; without it their
	// callers wait for their timeout.
	Post *Post
}

func (c *Config) validate() error {
	switch {
	case c.MaxBody < 1:
		return errors.New("osloroute: MaxBody is not positive")
	case c.Permits == nil:
		return errors.New("osloroute: Permits is missing")
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
	return &requests{cfg: &r.cfg}, nil
}

// requests is the format in one lane. Between decode and encode it keeps the
// message that the lane has in hand.
type requests struct {
	cfg *Config
	m   message
}

// Run implements [router.Filter].
func (r *requests) Run(_ context.Context, stage router.Stage, env *router.Envelope, d *router.Decision) error {
	switch stage {
	case router.Decode:
		if err := r.m.open(env, r.cfg.MaxBody); err != nil {
			return invalid(stage, err)
		}
	case router.Encode:
		if err := r.m.seal(env, d.Emission, nil); err != nil {
			return invalid(stage, err)
		}
	}
	return nil
}

// Close implements [router.Filter].
func (r *requests) Close() {}

// Answer implements [router.Format]: the body that filters left is the result,
// or the call has failed if they set the header [HeaderErrorClass].
func (r *requests) Answer(env *router.Envelope) (queue string, err error) {
	if r.m.given.Type != TypeCall {
		return "", nil
	}
	if !r.cfg.Permits(r.m.given.ReplyTo) {
		return "", invalid(router.Decide, fmt.Errorf("replies to queue %.80q are not allowed", r.m.given.ReplyTo))
	}
	reply := oslo.Reply{MsgID: r.m.given.CorrelationID, UniqueID: oslo.NewID(), Ending: true}
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
	if r.cfg.Post == nil {
		return
	}
	if to, ok := callerOf(received, r.cfg.MaxBody); ok {
		r.cfg.fail(to, failureFor(r.cfg.Route, loss))
	}
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
