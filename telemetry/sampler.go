package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	sampleWindow = time.Second
	sampleBurst  = 10   // lines of one kind that are written in a window
	sampleKinds  = 1024 // kinds that are remembered; beyond it nothing is left out
)

// identity are the keys whose values make lines with the same message lines of
// different kinds.
var identity = map[string]bool{
	"component": true, "route": true, "filter": true, "queue": true, "purpose": true, "text": true, "warning": true,
}

// Sampler is a handler that writes of lines of one kind the first ten of each
// second and leaves out the rest: so a fault that comes with each message does not
// fill the disk. A kind is level, message, and what the line is about. The next
// line of the kind that is written says in the key suppressed how many there were.
// It is safe for concurrent use.
type Sampler struct {
	next  slog.Handler
	about string // values of identity that the logger itself has
	state *samplerState
}

type samplerState struct {
	levels     [4]atomic.Uint64 // lines written: debug, info, warn, error
	suppressed atomic.Uint64
	now        func() time.Time

	mu    sync.Mutex // protects kinds
	kinds map[string]*sampledKind
}

type sampledKind struct {
	since   time.Time
	written int
	left    int
}

// NewSampler returns a Sampler that writes to next.
func NewSampler(next slog.Handler) *Sampler {
	return &Sampler{next: next, state: &samplerState{now: time.Now, kinds: make(map[string]*sampledKind)}}
}

// Stat returns the counts.
func (s *Sampler) Stat() LogStat {
	n := &s.state.levels
	return LogStat{Debug: n[0].Load(), Info: n[1].Load(), Warn: n[2].Load(), Error: n[3].Load(), Suppressed: s.state.suppressed.Load()}
}

// Enabled implements [slog.Handler].
func (s *Sampler) Enabled(ctx context.Context, level slog.Level) bool {
	return s.next.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (s *Sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var about strings.Builder
	about.WriteString(s.about)
	for _, a := range attrs {
		about.WriteString(kindOf(a))
	}
	return &Sampler{next: s.next.WithAttrs(attrs), about: about.String(), state: s.state}
}

// WithGroup implements [slog.Handler].
func (s *Sampler) WithGroup(name string) slog.Handler {
	return &Sampler{next: s.next.WithGroup(name), about: s.about + "\x00" + name, state: s.state}
}

// Handle implements [slog.Handler].
func (s *Sampler) Handle(ctx context.Context, r slog.Record) error {
	var kind strings.Builder
	kind.WriteString(r.Level.String())
	kind.WriteString(r.Message)
	kind.WriteString(s.about)
	r.Attrs(func(a slog.Attr) bool {
		kind.WriteString(kindOf(a))
		return true
	})
	write, left := s.state.admit(kind.String())
	if !write {
		s.state.suppressed.Add(1)
		return nil
	}
	s.state.levels[min(max((int(r.Level)+4)/4, 0), 3)].Add(1)
	if left > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", left))
	}
	return s.next.Handle(ctx, r)
}

func kindOf(a slog.Attr) string {
	if !identity[a.Key] {
		return ""
	}
	return "\x00" + a.Key + "=" + a.Value.String()
}

// admit reports whether a line of a kind is to be written, and how many of it were
// left out before.
func (s *samplerState) admit(kind string) (write bool, left int) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kinds[kind]
	if k == nil {
		if len(s.kinds) >= sampleKinds {
			s.forget(now)
		}
		if len(s.kinds) >= sampleKinds {
			return true, 0
		}
		k = &sampledKind{since: now}
		s.kinds[kind] = k
	}
	if now.Sub(k.since) >= sampleWindow {
		left = k.left
		*k = sampledKind{since: now}
	}
	if k.written >= sampleBurst {
		k.left++
		return false, 0
	}
	k.written++
	return true, left
}

// forget makes room: what was not said lately is forgotten, with what was left out.
func (s *samplerState) forget(now time.Time) {
	for kind, k := range s.kinds {
		if now.Sub(k.since) >= sampleWindow {
			delete(s.kinds, kind)
		}
	}
}
