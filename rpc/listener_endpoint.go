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
	handle     BatchHandler
}

func (l *NotificationListener) endpoint(e NotificationEndpoint) (endpoint, error) {
	out := endpoint{handle: e.Batch}
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

// each makes a handler of batches of one of single notifications.
func (l *NotificationListener) each(handle NotificationHandler) BatchHandler {
	return func(ctx context.Context, batch []*Notification) error {
		failed := BatchError{}
		for i, n := range batch {
			if err := l.guarded(func() error { return handle(ctx, n) }); err != nil {
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
	var list []*Notification
	wanted := batch[:0:0]
	for _, it := range batch {
		if slices.Contains(e.priorities, it.n.Priority) && e.filter.match(&it.n) {
			it.wanted = true
			wanted = append(wanted, it)
			list = append(list, &it.n)
		}
	}
	if len(list) == 0 {
		return
	}
	err := l.guarded(func() error { return e.handle(ctx, list) })
	some, ok := err.(BatchError) //nolint:errorlint // one inside another error says nothing of this batch
	for i := range some {
		ok = ok && 0 <= i && i < len(list) // or else nobody knows which were meant
	}
	for i, it := range wanted {
		it.err = err
		if ok {
			it.err = some[i]
		}
	}
}
