// Package workbench is where filters are made and tried: it writes projects,
// builds, checks, runs, tests, measures and describes them, with the host that
// the router runs them in and without a broker.
package workbench

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// Config is what a [Workbench] needs.
type Config struct {
	CacheDir string       // of compiled modules; empty is the user's
	Logger   *slog.Logger // gets what filters log; nil discards
}

// Workbench loads filters and tries them. It is safe for concurrent use.
type Workbench struct {
	host *wasmhost.Host
}

// New returns a workbench; the caller closes it.
func New(ctx context.Context, cfg Config) (*Workbench, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	host, err := app.NewHost(ctx, cfg.CacheDir, cfg.Logger)
	if err != nil {
		return nil, err
	}
	return &Workbench{host: host}, nil
}

// Close closes every filter that is still loaded.
func (w *Workbench) Close(ctx context.Context) error { return w.host.Close(ctx) }

// loaded is a filter with one instance.
type loaded struct {
	filter   *wasmhost.Filter
	instance router.Filter
}

// load loads a subject with another configuration than its own, if config is
// not nil. The caller closes it.
func (w *Workbench) load(ctx context.Context, s *Subject, config map[string]any, patience bool) (*loaded, error) {
	fc := app.FilterConfig(s.Name, s.Filter, s.Module)
	if config != nil {
		fc.Config = config
	}
	// A filter on the bench may fail as often as it likes.
	fc.Limits.RestartBackoff, fc.Limits.MaxBackoff = time.Millisecond, time.Millisecond
	if patience {
		fc.Limits = patient(fc.Limits)
	}
	f, err := w.host.Load(ctx, fc)
	if err != nil {
		return nil, err
	}
	in, err := f.Instance(ctx)
	if err != nil {
		_ = f.Close(ctx) // it has nothing that could be lost
		return nil, err
	}
	return &loaded{f, in}, nil
}

func (l *loaded) close(ctx context.Context) error {
	l.instance.Close()
	return l.filter.Close(ctx)
}

// StageNames are the stages' names, in the order in which messages pass them.
func StageNames() []string {
	var names []string
	for s := range router.Stage(router.NumStages) {
		names = append(names, s.String())
	}
	return names
}

// ParseStages returns the stages with the names, in the order in which messages
// pass them.
func ParseStages(names []string) ([]router.Stage, error) {
	var stages []router.Stage
	known := StageNames()
	for _, name := range names {
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("there is no stage %q; the stages are decode, unpack, decide, pack and encode", name)
		}
		stages = append(stages, router.Stage(i))
	}
	slices.Sort(stages)
	return slices.Compact(stages), nil
}

// stagesOf lists a set in order.
func stagesOf(set router.StageSet) []router.Stage {
	var stages []router.Stage
	for s := range router.Stage(router.NumStages) {
		if set.Has(s) {
			stages = append(stages, s)
		}
	}
	return stages
}
