package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/app/shadow"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/telemetry"
)

// ShadowPlan is what a configuration says of a filter's new version.
type ShadowPlan struct {
	Path           string          `json:"path"`
	SHA256         string          `json:"sha256"`
	Bytes          int             `json:"bytes"`
	Stages         []string        `json:"stages"`
	Share          int             `json:"share"` // percent
	PromoteAfter   int64           `json:"promote_after"`
	MaxDifferences int64           `json:"max_differences"`
	MaxLatency     config.Duration `json:"max_latency"`
}

func (s *successor) plan(c config.Shadow) *ShadowPlan {
	return &ShadowPlan{
		c.Path, s.SHA256(), s.Size(), stageNames(s.Stages()),
		c.Share, c.PromoteAfter, c.MaxDifferences, c.MaxLatency,
	}
}

// rule says in words how the new version comes into use.
func (p *ShadowPlan) rule() string {
	after := "by command"
	if p.PromoteAfter > 0 {
		after = fmt.Sprintf("after %d messages with at most %d differences", p.PromoteAfter, p.MaxDifferences)
	}
	text := "decides everything " + after
	if p.Share > 0 {
		text = fmt.Sprintf("decides %d %% of the messages %s, then all in the same way", p.Share, after)
	}
	if p.MaxLatency > 0 {
		text += fmt.Sprintf("; 99 of 100 calls within %s", p.MaxLatency)
	}
	return text
}

// ShadowStatus is the trial of a filter's new version. Counts begin when it does,
// or begins again.
type ShadowStatus struct {
	State       string            `json:"state"` // rolled-back, shadow, canary or promoted
	Since       time.Time         `json:"since"`
	Reason      string            `json:"reason,omitempty"` // why it is in that state
	Advice      string            `json:"advice,omitempty"` // what there is to do about it
	SHA256      string            `json:"sha256"`
	Compared    uint64            `json:"compared"`    // messages that both versions have had
	Differences uint64            `json:"differences"` // messages that they treat differently
	Kinds       map[string]uint64 `json:"kinds"`       // of differences, by what differs
	Served      uint64            `json:"served"`      // messages that the new version was to decide
	Failures    uint64            `json:"failures"`    // calls in which it failed
	Calls       uint64            `json:"calls"`       // of it
	Slow        uint64            `json:"slow"`        // of those, longer than max_latency
	Shed        uint64            `json:"shed"`        // messages not compared, for want of room or time
}

func (s *successor) status(f config.Filter) *ShadowStatus {
	st := s.trial.Stat()
	n := st.Trial
	status := &ShadowStatus{
		State: st.State.String(), Since: st.Since, Reason: st.Reason, SHA256: s.SHA256(),
		Compared: n.Compared, Differences: n.Differences, Kinds: st.Kinds, Served: n.Served,
		Failures: n.Failures, Calls: n.Calls, Slow: n.Slow, Shed: n.Shed,
	}
	if status.Kinds == nil {
		status.Kinds = map[string]uint64{}
	}
	switch st.State {
	case shadow.Promoted:
		status.Advice = fmt.Sprintf("write it into the file: path = %q and no shadow table; a restart begins with the old version", f.Shadow.Path)
	case shadow.RolledBack:
		status.Advice = "mend it and reload, or promote it to try it once more"
	}
	return status
}

// ShadowReport is the trial of a filter's new version with the last differences,
// the newest first. What is in messages is hidden unless admin.bodies is set.
type ShadowReport struct {
	Filter      string              `json:"filter"`
	Trial       *ShadowStatus       `json:"trial"`
	Differences []shadow.Difference `json:"differences"`
}

// ErrNoShadow is wrapped by the errors of a filter that has no new version.
var ErrNoShadow = errors.New("it has no new version that is tried; add [filters.NAME.shadow]")

// trial returns the filter of that name, which has a new version.
func (t *table) trial(name string) (loadedFilter, error) {
	f, ok := t.filters[name]
	switch {
	case !ok:
		return f, fmt.Errorf("there is no filter %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(t.filters)), ", "))
	case f.next == nil:
		return f, fmt.Errorf("filter %s: %w", name, ErrNoShadow)
	}
	return f, nil
}

// Shadow returns what has become of the new version of a filter.
func (a *App) Shadow(filter string) (*ShadowReport, error) {
	t := a.table.Load()
	f, err := t.trial(filter)
	if err != nil {
		return nil, err
	}
	r := &ShadowReport{Filter: filter, Trial: f.next.status(f.cfg), Differences: f.next.trial.Differences(t.cfg.Admin.Bodies)}
	if r.Differences == nil {
		r.Differences = []shadow.Difference{}
	}
	return r, nil
}

// Promote takes a filter's new version one step up, as [shadow.Trial.Promote]
// does. It holds until the router ends or a reload brings other versions.
func (a *App) Promote(filter string) error { return a.step(filter, (*shadow.Trial).Promote) }

// Rollback takes a filter's new version out of use.
func (a *App) Rollback(filter string) error { return a.step(filter, (*shadow.Trial).Rollback) }

func (a *App) step(filter string, step func(*shadow.Trial) (shadow.State, error)) error {
	f, err := a.table.Load().trial(filter)
	if err != nil {
		return err
	}
	_, err = step(f.next.trial)
	return err
}

// shadowEndpoints are about new versions of filters.
func (a *App) shadowEndpoints() []admin.Endpoint {
	answer := func(name string, err error) (any, error) {
		if err != nil {
			return nil, refuseShadow(err)
		}
		r, err := a.Shadow(name)
		return r, refuseShadow(err)
	}
	change := func(do func(string) error) func(context.Context, *admin.Request) (any, error) {
		return func(_ context.Context, r *admin.Request) (any, error) {
			name := r.Path("filter")
			return answer(name, do(name))
		}
	}
	return []admin.Endpoint{
		{Pattern: "GET /api/filters/{filter}/shadow", Do: change(func(string) error { return nil })},
		{Pattern: "POST /api/filters/{filter}/promote", Do: change(a.Promote)},
		{Pattern: "POST /api/filters/{filter}/rollback", Do: change(a.Rollback)},
	}
}

// refuseShadow says that an error is the caller's, as all of them are.
func refuseShadow(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, shadow.ErrStep):
		return admin.Refuse(http.StatusConflict, "%w", err)
	}
	return admin.Refuse(http.StatusNotFound, "%w", err)
}

func (s *successor) stat(filter string) telemetry.ShadowStat {
	st := s.trial.Stat()
	n := st.Total
	return telemetry.ShadowStat{
		Filter: filter, State: st.State.String(), Compared: n.Compared, Differences: n.Differences,
		Served: n.Served, Failures: n.Failures, Shed: n.Shed,
	}
}
