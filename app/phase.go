package app

import "log/slog"

// Phase is what a running App is at.
type Phase uint8

const (
	// Running begins when Start has succeeded and whenever a reload has ended,
	// well or not. The broker need not be there yet; Ready tells.
	Running Phase = iota + 1
	// Reloading lasts until the next Running.
	Reloading
	// Stopping begins the drain of an App that was started.
	Stopping
)

// Observe has told called at each change of phase, in order. It must not block,
// and Observe must be called before Start.
func (a *App) Observe(told func(Phase)) { a.phase = told }

func (a *App) enters(p Phase) {
	if a.phase != nil {
		a.phase(p)
	}
}

// Logger returns where the router logs, for what belongs to the process beside it.
func (a *App) Logger() *slog.Logger { return a.log }
