package wasmhost

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/wasmrouter/router/router"
)

// Filter is one loaded filter: it implements [router.FilterSource]. It is safe
// for concurrent use.
type Filter struct {
	program
	host   *Host
	name   string
	info   Info
	limits Limits
	grants Grants
	stages router.StageSet
	needs  needs

	exceptionRefs bool // it has references to exceptions

	config *router.Envelope // what router_init gets; only read
	logger *slog.Logger

	logs    *guestLogs
	metrics guestMetrics
	kv      *kvCache // nil without the grant

	supply *supply

	restarts  atomic.Uint64
	discarded [len(classes)]atomic.Uint64
	recycled  [len(recycleCauses)]atomic.Uint64

	closing sync.Once
	gone    chan struct{} // closed when the program is

	mu      sync.Mutex // protects what follows
	closed  bool
	refs    int // lanes, and one for the filter itself
	lanes   map[*Instance]struct{}
	retired laneTotals // of lanes that were closed
}

// Name returns the filter's configured name.
func (f *Filter) Name() string { return f.name }

// Stages returns the stages the filter takes part in.
func (f *Filter) Stages() router.StageSet { return f.stages }

// SHA256 returns the hexadecimal hash of the module as it was given.
func (f *Filter) SHA256() string { return f.info.SHA256 }

// Size returns the module's size in bytes.
func (f *Filter) Size() int { return f.info.Size }

// Info returns what the module says about itself; Stages are those in use.
func (f *Filter) Info() Info { return f.info }

// Needs is what a filter reads of each message; the rest is not copied for it.
type Needs struct {
	Body, Headers, Properties bool
	BodyPrefix                int  // bytes, if it reads no more than the body's beginning
	Stateless                 bool // it may be replaced between two messages

	// HeaderNames are the only headers it reads, sorted; empty means all, if
	// Headers is true.
	HeaderNames []string
}

// Needs returns what the filter said it reads.
func (f *Filter) Needs() Needs {
	n := f.needs
	var names []string
	for _, name := range n.names {
		names = append(names, name.name)
	}
	return Needs{Body: n.body, Headers: n.headers, Properties: n.props, BodyPrefix: int(n.prefix), Stateless: n.stateless, HeaderNames: names}
}

func (f *Filter) deltaLimits() deltaLimits {
	return deltaLimits{output: f.limits.Output, targets: f.limits.Targets, emit: f.limits.Emit}
}

// Instance makes an instance for one lane.
func (f *Filter) Instance(context.Context) (router.Filter, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil, fmt.Errorf("filter %s: %w", f.name, ErrClosed)
	}
	in := &Instance{filter: f}
	f.refs++
	f.lanes[in] = struct{}{}
	f.mu.Unlock()

	// Without room the lane gets its instance when it has a message: while
	// routes are exchanged, the old lanes may have theirs until then.
	g, err := f.supply.first()
	if err != nil {
		f.leave(in)
		return nil, fmt.Errorf("filter %s: %w", f.name, err)
	}
	if g != nil {
		in.adopt(g)
	}
	return in, nil
}

// leave takes a closed lane off the books.
func (f *Filter) leave(in *Instance) {
	f.mu.Lock()
	delete(f.lanes, in)
	f.retired.add(&in.stat)
	f.mu.Unlock()
	f.unref()
}

// unref closes the program when nothing uses it any more.
func (f *Filter) unref() {
	f.mu.Lock()
	f.refs--
	last := f.refs == 0
	f.mu.Unlock()
	if last {
		f.program.close()
		close(f.gone)
	}
}

// Close stops giving out instances and waits until those given out are closed,
// at most until ctx ends; the last of them then frees the compiled code. It may
// be called again, to wait.
func (f *Filter) Close(ctx context.Context) error {
	f.closing.Do(func() {
		f.mu.Lock()
		f.closed = true
		f.mu.Unlock()
		f.supply.close()
		f.host.mu.Lock()
		delete(f.host.filters, f)
		f.host.mu.Unlock()
		f.unref()
	})
	select {
	case <-f.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("filter %s: instances are still in use: %w", f.name, ctx.Err())
	}
}
