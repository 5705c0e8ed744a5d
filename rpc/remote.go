package rpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// ErrVersionCap: the request was not sent, as its version is beyond the
// [Remote.VersionCap].
var ErrVersionCap = errors.New("beyond the version cap")

// Target is whom a [Remote] talks to, in oslo.messaging's words.
type Target struct {
	Exchange string // the default is the client's Layout's
	Topic    string
	Server   string // one server of the topic; empty is any one of them
	Fanout   bool   // all servers of the topic, for casts
	// Namespace and Version choose among a server's endpoints; nil is the null
	// namespace, "" is version 1.0.
	Namespace *string
	Version   string
}

// Remote is a service as its callers see it: where it is, and how to treat what
// is sent there. It is a value, and safe for concurrent use as long as nobody
// changes it; a changed copy is the same service addressed in another way.
type Remote struct {
	Client *Client // sends; its format must be able to express JSON arguments, as Oslo is
	Target Target

	// VersionCap is the newest version that its servers understand, empty for
	// any. What asks for more fails with [ErrVersionCap] and is not sent.
	VersionCap string
	// Context travels beside every request; what the ctx of an operation
	// carries, see [WithContext], is added to it.
	Context map[string]any
	// Timeout bounds operations, connecting and publishing included, besides the
	// end of their ctx. 0 is the client's, for ctx without end.
	Timeout time.Duration
	// Monitor, from 2 s up, makes the server tell that it is still at work, and
	// a call fail with [ErrSilent] when nothing is heard of it for so long. It
	// goes in whole seconds. 0 is no monitor.
	Monitor time.Duration
	// Retry is as in [ClientConfig]; nil is the client's.
	Retry *int
	// Unheard makes a cast that no queue takes no error, as oslo.messaging
	// treats it: nobody listens, and nobody is told.
	Unheard bool
}

// At returns the same service, but only its server of that name.
func (r Remote) At(server string) Remote {
	r.Target.Server, r.Target.Fanout = server, false
	return r
}

// CanSendVersion reports whether requests of that version are within the
// version cap; "" is the target's version.
func (r Remote) CanSendVersion(version string) bool {
	if version == "" {
		version = r.Target.Version
	}
	if version == "" {
		version = oslo.DefaultVersion
	}
	return r.VersionCap == "" || oslo.Compatible(r.VersionCap, version)
}

// Call calls a method with named arguments and puts its result into what result
// points to. Args is a map or struct that [oslo.Marshal] writes as a JSON
// object, or nil for none. Result is nil to drop the result, an *[oslo.Raw] or
// *any to take it with all that Python may write, see [oslo.Raw.Value], or
// anything that [oslo.Raw.Unmarshal] fills. Errors are as those of
// [Client.Call], and may wrap [ErrVersionCap].
func (r Remote) Call(ctx context.Context, method string, args, result any) error {
	if r.Target.Fanout {
		return fmt.Errorf("call %s of %s: %w: a call goes to one server", method, r, router.ErrTarget)
	}
	ctx, cancel, req, err := r.request(ctx, method, args)
	defer cancel()
	if err != nil {
		return fmt.Errorf("call %s of %s: %w", method, r, err)
	}
	req.Monitor = r.Monitor
	reply, err := r.Client.call(ctx, r.target(), req, r.Retry)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if err := decode(reply.Payload, result); err != nil {
		return fmt.Errorf("call %s of %s: %w: the result: %w", method, r, ErrFormat, err)
	}
	return nil
}

// Cast sends a request that nobody answers: to one server of the topic, to the
// one that the target names, or with the target's Fanout to all of them. It
// returns as [Client.Cast] does.
func (r Remote) Cast(ctx context.Context, method string, args any) error {
	ctx, cancel, req, err := r.request(ctx, method, args)
	defer cancel()
	if err != nil {
		return fmt.Errorf("cast %s to %s: %w", method, r, err)
	}
	err = r.Client.cast(ctx, r.target(), req, r.Retry)
	switch {
	case err == nil || r.Unheard && errors.Is(err, ErrNoListener):
		return nil
	default:
		return fmt.Errorf("%s: %w", method, err)
	}
}

// Fanout casts to all servers of the topic.
func (r Remote) Fanout(ctx context.Context, method string, args any) error {
	r.Target.Server, r.Target.Fanout = "", true
	return r.Cast(ctx, method, args)
}

// String returns the target as [router.ParseTarget] reads it.
func (r Remote) String() string { return r.target().String() }

func (r Remote) target() router.Target {
	t := router.Target{Kind: router.TargetTopic, Exchange: r.Target.Exchange, Topic: r.Target.Topic}
	if t.Exchange == "" && r.Client != nil {
		t.Exchange = r.Client.cfg.Layout.Exchange
	}
	switch {
	case r.Target.Fanout:
		return router.Target{Kind: router.TargetFanout, Topic: r.Target.Topic}
	case r.Target.Server != "":
		t.Kind, t.Server = router.TargetServer, r.Target.Server
	}
	return t
}

// request returns what to send, and a ctx with the remote's timeout. Cancel is
// never nil.
func (r Remote) request(ctx context.Context, method string, args any) (_ context.Context, cancel context.CancelFunc, _ Request, err error) {
	cancel = func() {}
	req := Request{Method: method, Namespace: r.Target.Namespace, Version: r.Target.Version}
	switch {
	case r.Client == nil:
		return ctx, cancel, req, errors.New("the Remote has no Client")
	case r.Target.Fanout && r.Target.Server != "":
		return ctx, cancel, req, fmt.Errorf("%w: both one server and all of them", router.ErrTarget)
	case !r.CanSendVersion(""):
		return ctx, cancel, req, fmt.Errorf("%w %s: it asks for version %s", ErrVersionCap, r.VersionCap, r.Target.Version)
	}
	if args != nil {
		if req.Payload, err = oslo.Marshal(args); err != nil {
			return ctx, cancel, req, fmt.Errorf("%w: the arguments: %w", ErrFormat, err)
		}
	}
	req.Context = r.Context
	if more, _ := ctx.Value(contextKey{}).(map[string]any); more != nil {
		req.Context = merge(r.Context, more)
	}
	if r.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
	}
	return ctx, cancel, req, nil
}

func decode(payload []byte, result any) error {
	raw := oslo.Raw(payload)
	if raw == nil {
		raw = oslo.Null
	}
	switch result := result.(type) {
	case nil:
		return nil
	case *oslo.Raw:
		*result = raw
		return nil
	case *any:
		v, err := raw.Value()
		*result = v
		return err
	}
	return raw.Unmarshal(result)
}

type contextKey struct{}

// WithContext returns a ctx with which a [Remote] or [Notifier] sends these entries,
// besides those that ctx has already and that its own Context has; the newest of a
// name counts. The map must not be changed afterwards.
func WithContext(ctx context.Context, entries map[string]any) context.Context {
	if old, _ := ctx.Value(contextKey{}).(map[string]any); old != nil {
		entries = merge(old, entries)
	}
	return context.WithValue(ctx, contextKey{}, entries)
}

func merge(old, more map[string]any) map[string]any {
	m := make(map[string]any, len(old)+len(more))
	maps.Copy(m, old)
	maps.Copy(m, more)
	return m
}
