package amqp

import (
	"log/slog"
	"time"
)

// throttle logs a repeated failure the first time and then once a minute.
type throttle struct {
	to    *slog.Logger
	last  string
	at    time.Time
	count int
}

func (t *throttle) warn(msg string, err error, args ...any) {
	text := "unknown"
	if err != nil {
		text = err.Error()
	}
	t.count++
	if text == t.last && time.Since(t.at) < time.Minute {
		return
	}
	t.to.Warn(msg, append([]any{"err", text, "times", t.count}, args...)...)
	t.last, t.at, t.count = text, time.Now(), 0
}

func (t *throttle) reset() { t.last, t.count = "", 0 }

// readable is a duration as people read it.
func readable(d time.Duration) string { return d.Round(time.Millisecond).String() }
