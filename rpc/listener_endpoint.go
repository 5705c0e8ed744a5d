package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wasmrouter/router/oslo"
)

// endpoint is a NotificationEndpoint that is ready for use.
type endpoint struct {
	priorities []string
	filter     matcher
	handle     func(context.Context, []*notice) error
}

func (l *NotificationListener) endpoint(e NotificationEndpoint) (endpoint, error) {
	out := endpoint{handle: whole(e.Batch)}
	switch {
	case (e.Handle == nil) == (e.Batch == nil):
		return out, errors.New("set one of Handle and Batch")
	case e.Handle != nil:
		out.handle = l.each(e.Handle)
	}
	if e.Priorities == nil {
		e.Priorities = oslo.Priorities
	}
	for _, p := range e.Priorities {
		p = strings.ToLower(p)
		if !slices.Contains(oslo.Priorities, p) {
			return out, fmt.Errorf("priority %q is unknown; the priorities are %s", p, strings.Join(oslo.Priorities, ", "))
		}
		out.priorities = append(out.priorities, p)
	}
	var err error
	out.filter, err = e.Filter.compile()
	return out, err
}

// whole hands all notifications over at once.
func whole(handle BatchHandler) func(context.Context, []*notice) error {
	return func(ctx context.Context, batch []*notice) error {
		list := make([]*Notification, len(batch))
		for i, it := range batch {
			list[i] = &it.n
		}
		return handle(ctx, list)
	}
}

// each hands over one notification after the other.
func (l *NotificationListener) each(handle NotificationHandler) func(context.Context, []*notice) error {
	return func(_ context.Context, batch []*notice) error {
		failed := BatchError{}
		for i, it := range batch {
			if err := l.guarded(func() error { return handle(it.handling, &it.n) }); err != nil {
				failed[i] = err
			}
		}
		if len(failed) == 0 {
			return nil
		}
		return failed
	}
}

// guarded turns a panic of f into an error.
func (l *NotificationListener) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.counters.panics.Add(1)
			l.cfg.Logger.Error("handler panicked", "panic", fmt.Sprint(p), "stack", stack())
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	return f()
}

// pass hands those over that the endpoint wants, of notifications of the same
// priority, and notes the errors of those that failed.
func (l *NotificationListener) pass(ctx context.Context, e *endpoint, batch []*notice) {
	wanted := batch[:0:0]
	for _, it := range batch {
		if slices.Contains(e.priorities, it.n.Priority) && e.filter.match(&it.n) {
			it.wanted = true
			wanted = append(wanted, it)
		}
	}
	if len(wanted) == 0 {
		return
	}
	err := l.guarded(func() error { return e.handle(ctx, wanted) })
	some, ok := err.(BatchError) //nolint:errorlint // one inside another error says nothing of this batch
	for i := range some {
		ok = ok && 0 <= i && i < len(wanted) // or else nobody knows which were meant
	}
	for i, it := range wanted {
		it.err = err
		if ok {
			it.err = some[i]
		}
	}
}
