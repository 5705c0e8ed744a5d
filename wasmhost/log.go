package wasmhost

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

const (
	maxLogLine = 1 << 10
	logBurst   = 4 // seconds' lines that may come at once

	guestLogMessage = "filter log"
	guestLogText    = "text"
)

// guestLogs writes what the instances of one filter log. It is safe for
// concurrent use.
type guestLogs struct {
	logger  *slog.Logger
	limiter *rate.Limiter
	dropped atomic.Uint64
}

func newGuestLogs(logger *slog.Logger, filter string, perSecond int) *guestLogs {
	return &guestLogs{
		logger:  logger.With(slog.String("component", "filter"), slog.String("filter", filter)),
		limiter: rate.NewLimiter(rate.Limit(perSecond), logBurst*perSecond),
	}
}

func (l *guestLogs) enabled(level slog.Level) bool {
	return l.logger.Enabled(context.Background(), level)
}

func logLevel(level uint32) slog.Level {
	switch level {
	case 0:
		return slog.LevelDebug
	case 1:
		return slog.LevelInfo
	case 2:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// log writes one line of the guest's, within the limits.
func (g *guest) log(level slog.Level, text []byte) {
	l := g.filter.logs
	if !l.enabled(level) {
		return
	}
	g.budget.charge(hostLogPrice)
	if g.logged >= g.filter.limits.LogLines || !l.limiter.Allow() {
		l.dropped.Add(1)
		return
	}
	g.logged++
	attrs := [...]slog.Attr{
		slog.String(guestLogText, cutText(string(text[:min(len(text), maxLogLine+1)]), maxLogLine)),
		{},
	}
	n := 1
	if g.env != nil && g.env.MessageID != "" {
		attrs[1] = slog.String("id", cutText(g.env.MessageID, maxShort))
		n = 2
	}
	l.logger.LogAttrs(context.Background(), level, guestLogMessage, attrs[:n]...)
}

// line collects what a guest writes to stdout or stderr until a line is whole.
type line struct{ buf []byte }

// write takes output of the guest's language runtime.
func (g *guest) write(fd uint32, text []byte) {
	l := &g.stderr[fd-1]
	for len(text) > 0 {
		head, rest, whole := bytes.Cut(text, []byte{'\n'})
		if room := maxLogLine - len(l.buf); room > 0 {
			l.buf = append(l.buf, head[:min(len(head), room)]...)
		}
		text = rest
		if !whole {
			return
		}
		if len(l.buf) > 0 {
			// Go and others say so before they give up.
			g.memory = g.memory || fd == 2 && bytes.Contains(l.buf, []byte("out of memory"))
			level := slog.LevelInfo
			if fd == 2 {
				level = slog.LevelWarn
			}
			g.log(level, l.buf)
			l.buf = l.buf[:0]
		}
	}
}
