package app

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/wasmrouter/router/admin"
)

// endpoints returns what the admin listener serves besides health, metrics and
// reload. Each has its place in admin/openapi.yaml.
func (a *App) endpoints() []admin.Endpoint {
	return append([]admin.Endpoint{
		admin.Get("broker", a.embeddedStat),
		admin.Get("config", func() any { return a.table.Load().cfg.Redacted() }),
		admin.Get("plan", func() any { return a.table.Load().plan() }),
		admin.Get("status", func() any { return a.Status() }),
		{Pattern: "GET /api/decisions", Query: []string{"route", "limit"}, Do: a.decisions},
		admin.Get("log-level", a.logLevel),
		{Pattern: "POST /api/log-level", Do: a.setLogLevel},
		{Pattern: "GET /api/filters/{filter}", Do: a.filterReport},
		{Pattern: "POST /api/filters/{filter}/reload", Do: a.reloadFilter},
		{Pattern: "POST /api/routes/{route}/pause", Do: a.pauseRoute},
		{Pattern: "POST /api/routes/{route}/resume", Do: a.resumeRoute},
	}, slices.Concat(a.shadowEndpoints(), a.recordEndpoints(), a.letterEndpoints())...)
}

// LogLevel is the least severity that is logged.
type LogLevel struct {
	Level string `json:"level"` // debug, info, warn or error
}

func (a *App) logLevel() any {
	return LogLevel{strings.ToLower(a.level.Level().String())}
}

// setLogLevel changes the log's level until the process ends or a reload brings
// another log.level than before.
func (a *App) setLogLevel(_ context.Context, r *admin.Request) (any, error) {
	var want LogLevel
	if err := r.Body(&want); err != nil {
		return nil, err
	}
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[want.Level]
	if !ok {
		return nil, admin.Refuse(http.StatusBadRequest, "level is %q; it is one of debug, info, warn, error", want.Level)
	}
	a.level.Set(level)
	a.log.Info("log level changed", "level", want.Level)
	return a.logLevel(), nil
}
