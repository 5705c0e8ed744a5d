package app

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/wasmrouter/router/admin"
)

// ReloadEvent is what became of a reload, for those who listen to events.
type ReloadEvent struct {
	At         time.Time `json:"at"`
	Successful bool      `json:"successful"`
	Error      string    `json:"error,omitempty"`
}

func (a *App) tellReload(err error) {
	e := ReloadEvent{At: time.Now(), Successful: err == nil}
	if err != nil {
		e.Error = err.Error()
	}
	a.events.Publish(admin.EventReload, e)
}

// logEvents is a handler for log records that tells those who listen to events of
// what is a warning or worse.
type logEvents struct {
	slog.Handler // writes each as JSON
	events       *admin.Events
}

func newLogEvents(events *admin.Events) slog.Handler {
	names := map[string]string{slog.TimeKey: "at", slog.MessageKey: "message"}
	h := slog.NewJSONHandler(logPublisher{events}, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if name, ok := names[attr.Key]; ok && len(groups) == 0 {
				attr.Key = name
			}
			return attr
		},
	})
	return logEvents{h.WithGroup("attrs"), events}
}

// Enabled implements [slog.Handler].
func (l logEvents) Enabled(ctx context.Context, level slog.Level) bool {
	return l.events.Wanted(admin.EventLog) && l.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (l logEvents) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logEvents{l.Handler.WithAttrs(attrs), l.events}
}

// WithGroup implements [slog.Handler].
func (l logEvents) WithGroup(name string) slog.Handler {
	return logEvents{l.Handler.WithGroup(name), l.events}
}

type logPublisher struct{ events *admin.Events }

// Write publishes one record.
func (p logPublisher) Write(line []byte) (int, error) {
	p.events.Publish(admin.EventLog, json.RawMessage(bytes.Clone(line)))
	return len(line), nil
}
