package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// ErrBusy is wrapped by the error of [Recorder.Start] for a route that is being
// recorded.
var ErrBusy = errors.New("it is being recorded")

// Bounds of what waits to be written.
const (
	waitingRecords = 4096
	waitingBytes   = 64 << 20
	flushAfter     = time.Second // how old a record gets before it is written
)

// Why a recording ends when nothing cuts it short.
const (
	WhyStopped = "it was stopped"
	WhyOver    = "its time was over"
)

// Recorder follows the messages of routes that are recorded, as a [router.Tracer].
// While none is, a message costs it one atomic load. It is safe for concurrent use.
type Recorder struct {
	mu    sync.Mutex                       // protects changes of takes
	takes atomic.Pointer[map[string]*Take] // by route; the map is never changed
}

// Options say what to record.
type Options struct {
	Routes []string      // one at least
	Sample float64       // the share of messages, above 0 and up to 1
	For    time.Duration // how long; 0 is until it is stopped
}

// Take is one recording in progress. It is made by [Recorder.Start].
type Take struct {
	recorder *Recorder
	options  Options
	began    time.Time
	watch    Watch
	in       chan *Record
	stopped  chan struct{}
	stop     sync.Once
	why      string // valid once stopped is closed; see Why

	waiting              atomic.Int64 // bytes in in
	seen, taken, dropped atomic.Uint64
}

// Start begins a recording; [Take.Write] is to be called. Its error wraps ErrBusy
// if one of the routes is being recorded.
func (r *Recorder) Start(o Options) (*Take, error) {
	t := &Take{recorder: r, options: o, began: time.Now(), in: make(chan *Record, waitingRecords), stopped: make(chan struct{})}
	t.watch = Watch{Want: t.want, Done: t.done}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.all()
	for _, name := range o.Routes {
		if next[name] != nil {
			return nil, fmt.Errorf("route %s: %w", name, ErrBusy)
		}
	}
	for _, name := range o.Routes {
		next[name] = t
	}
	r.takes.Store(&next)
	return t, nil
}

// all returns a copy of the recordings, by route.
func (r *Recorder) all() map[string]*Take {
	if p := r.takes.Load(); p != nil {
		return maps.Clone(*p)
	}
	return map[string]*Take{}
}

// Stop ends the recording of a route, and of all that are recorded with it. It
// reports whether there was one.
func (r *Recorder) Stop(route string) bool {
	t := r.all()[route]
	if t != nil {
		t.Stop(WhyStopped)
	}
	return t != nil
}

// StopAll ends all recordings, for a reason that their summaries tell, and returns
// how many there were.
func (r *Recorder) StopAll(why string) int {
	n := 0
	for first, t := range r.all() {
		if t.options.Routes[0] == first {
			t.Stop(why)
			n++
		}
	}
	return n
}

// Status is one recording at one moment.
type Status struct {
	Routes  []string  `json:"routes"`
	Sample  float64   `json:"sample"`
	Began   time.Time `json:"began"`
	Until   time.Time `json:"until,omitzero"`
	Seen    uint64    `json:"seen"`    // messages that were to be recorded, the sample taken
	Taken   uint64    `json:"taken"`   // of these, given to the reader or waiting for it
	Dropped uint64    `json:"dropped"` // of these, left out as the reader was too slow
}

// Status returns the recordings in progress, by their first route.
func (r *Recorder) Status() []Status {
	all := []Status{}
	takes := r.all()
	for _, name := range slices.Sorted(maps.Keys(takes)) {
		t := takes[name]
		if t.options.Routes[0] != name {
			continue
		}
		s := Status{
			Routes: t.options.Routes, Sample: t.options.Sample, Began: t.began,
			Seen: t.seen.Load(), Taken: t.taken.Load(), Dropped: t.dropped.Load(),
		}
		if t.options.For > 0 {
			s.Until = t.began.Add(t.options.For)
		}
		all = append(all, s)
	}
	return all
}

// Trace implements [router.Tracer].
func (r *Recorder) Trace(route string, received *router.Envelope) router.Trace {
	p := r.takes.Load()
	if p == nil {
		return nil
	}
	if t := (*p)[route]; t != nil {
		return t.watch.Trace(route, received)
	}
	return nil
}

func (t *Take) want(string, *router.Envelope) bool {
	if t.options.Sample < 1 && rand.Float64() >= t.options.Sample {
		return false
	}
	t.seen.Add(1)
	return true
}

// done keeps a record until it is written, unless there is no room for it: a route
// does not wait for whoever reads the recording.
func (t *Take) done(r *Record) {
	size := r.size()
	if t.waiting.Add(size) > waitingBytes {
		t.waiting.Add(-size)
		t.dropped.Add(1)
		return
	}
	select {
	case t.in <- r:
		t.taken.Add(1)
	default:
		t.waiting.Add(-size)
		t.dropped.Add(1)
	}
}

// size is about how many bytes of memory a record keeps.
func (r *Record) size() int64 {
	n := len(r.Received.Body) + 1024
	for i := range r.Decision.Sent {
		n += len(r.Decision.Sent[i].Envelope.Body) + 512
	}
	return int64(n)
}

// Stop ends the recording, for a reason that its summary tells.
func (t *Take) Stop(why string) {
	t.stop.Do(func() {
		t.recorder.mu.Lock()
		defer t.recorder.mu.Unlock()
		next := t.recorder.all()
		maps.DeleteFunc(next, func(_ string, other *Take) bool { return other == t })
		t.recorder.takes.Store(&next)
		t.why = why
		close(t.stopped)
	})
}

// Why returns for which reason the recording was stopped; it has been.
func (t *Take) Why() string {
	<-t.stopped
	return t.why
}

// Write writes the recording to w until it is stopped, its time is over, ctx ends
// or w fails; it has been stopped then. Only w's errors are returned. Each Write of
// w's is given a whole block, or the header.
func (t *Take) Write(ctx context.Context, w io.Writer) error {
	if t.options.For > 0 {
		over := time.AfterFunc(t.options.For, func() { t.Stop(WhyOver) })
		defer over.Stop()
	}
	defer context.AfterFunc(ctx, func() { t.Stop("the router or its reader stopped") })()
	if _, err := io.WriteString(w, Header); err != nil {
		t.Stop("its reader has gone")
		return err
	}
	err := t.write(w)
	t.Stop("its reader has gone")
	return err
}

func (t *Take) write(w io.Writer) error {
	var blocks Blocks
	flush := func() error {
		if blocks.Len() == 0 {
			return nil
		}
		_, err := w.Write(blocks.Take())
		return err
	}
	add := func(r *Record) error {
		t.waiting.Add(-r.size())
		full, err := blocks.Add(r)
		if err != nil { // too large, as messages have no odd headers
			t.taken.Add(^uint64(0))
			t.dropped.Add(1)
			return nil
		}
		if full {
			return flush()
		}
		return nil
	}
	tick := time.NewTicker(flushAfter)
	defer tick.Stop()
	for {
		var err error
		select {
		case r := <-t.in:
			err = add(r)
		case <-tick.C:
			err = flush()
		case <-t.stopped:
			return t.finish(add, &blocks, flush)
		}
		if err != nil {
			return err
		}
	}
}

// finish writes what waits, and the summary.
func (t *Take) finish(add func(*Record) error, blocks *Blocks, flush func() error) error {
	for {
		select {
		case r := <-t.in:
			if err := add(r); err != nil {
				return err
			}
			continue
		default:
		}
		blocks.AddSummary(Summary{Seen: t.seen.Load(), Taken: t.taken.Load(), Dropped: t.dropped.Load(), Why: t.why})
		return flush()
	}
}
