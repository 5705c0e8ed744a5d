package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"

	"github.com/wasmrouter/router/app/shadow"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// loadedFilter is a filter with what it was made of. A later configuration that
// comes to the same keeps the filter.
type loadedFilter struct {
	*wasmhost.Filter
	cfg  config.Filter
	sum  [sha256.Size]byte
	next *successor // nil unless a new version is tried
}

// successor is a filter's new version and its trial.
type successor struct {
	*wasmhost.Filter
	sum   [sha256.Size]byte
	trial *shadow.Trial
}

// source is what routes use.
func (f loadedFilter) source() router.FilterSource {
	if f.next != nil {
		return f.next.trial
	}
	return f.Filter
}

// shadowName is what the new version of a filter is called in metrics and logs.
// No filter of a configuration can have it.
func shadowName(filter string) string { return filter + "/shadow" }

// load makes one filter, or keeps the old one or what has not changed of it.
// Next is the module of its new version, nil for none. What was made before an
// error is returned too.
func (b *builder) load(ctx context.Context, name string, module, next []byte, old loadedFilter) (loadedFilter, error) {
	cfg := b.cfg.Filters[name]
	f := loadedFilter{cfg: cfg, sum: sha256.Sum256(module)}
	own, before := cfg, old.cfg
	own.Shadow, before.Shadow = config.Shadow{}, config.Shadow{}
	if old.Filter != nil && old.sum == f.sum && reflect.DeepEqual(before, own) {
		f.Filter = old.Filter
	} else {
		var err error
		if f.Filter, err = b.host.Load(ctx, FilterConfig(name, cfg, module)); err != nil {
			return loadedFilter{}, err
		}
	}
	if next == nil {
		return f, nil
	}
	sum := sha256.Sum256(next)
	if f.Filter == old.Filter && old.next != nil && old.next.sum == sum && reflect.DeepEqual(old.cfg.Shadow, cfg.Shadow) {
		f.next = old.next
		return f, nil
	}
	fresh, err := b.host.Load(ctx, FilterConfig(shadowName(name), cfg.Successor(), next))
	if err != nil {
		return f, &shadowError{err}
	}
	s := cfg.Shadow
	f.next = &successor{Filter: fresh, sum: sum, trial: shadow.New(shadow.Config{
		Name: name, Old: f.Filter, New: fresh, Logger: b.log,
		Rule: shadow.Rule{
			PromoteAfter: uint64(s.PromoteAfter), MaxDifferences: uint64(s.MaxDifferences),
			MaxLatency: s.MaxLatency.Std(), Share: s.Share,
		},
	})}
	return f, nil
}

// shadowError is why a filter's new version was not loaded.
type shadowError struct{ error }

func (e *shadowError) Unwrap() error { return e.error }

// refused notes why a filter, or its new version, was not loaded.
func (b *builder) refused(name string, err error) {
	f, at := b.cfg.Filters[name], []string{"filters", name}
	late, isLate := errors.AsType[*shadowError](err)
	if !isLate {
		r := Refused(name, f.Path, err)
		b.fail(append(at, r.Key), "", r)
		return
	}
	r := Refused(shadowName(name), f.Shadow.Path, late.error)
	if r.Key != "grants" { // which it shares
		at = append(at, "shadow")
	}
	if r.Key == "config" && f.Shadow.Config == nil || r.Key == "stages" && f.Shadow.Stages == nil {
		r.Text += fmt.Sprintf("; it has the filter's %s: write shadow.%s if it needs others", r.Key, r.Key)
	}
	b.fail(append(at, r.Key), "", r)
}

// sameVersion reports whether a filter is what another was, whatever its limits,
// grants and policy.
func (f loadedFilter) sameVersion(old loadedFilter) bool {
	return old.Filter != nil && f.sum == old.sum &&
		reflect.DeepEqual(f.cfg.Config, old.cfg.Config) && reflect.DeepEqual(f.cfg.Stages, old.cfg.Stages)
}

// sameSuccessor is the same about the new versions, which both have.
func (f loadedFilter) sameSuccessor(old loadedFilter) bool {
	a, b := f.cfg.Successor(), old.cfg.Successor()
	return f.next.sum == old.next.sum && reflect.DeepEqual(a.Config, b.Config) && reflect.DeepEqual(a.Stages, b.Stages)
}

// endTrial ends the trial, if there is one.
func (f loadedFilter) endTrial() {
	if f.next != nil {
		f.next.trial.Close()
	}
}

// closeUnless frees what other has not. It waits until no lane has an instance
// of it, at most until ctx ends.
func (f loadedFilter) closeUnless(ctx context.Context, other loadedFilter) error {
	var errs []error
	if f.next != nil && f.next != other.next {
		f.endTrial()
		errs = append(errs, f.next.Filter.Close(ctx))
	}
	if f.Filter != other.Filter {
		errs = append(errs, f.Filter.Close(ctx))
	}
	return errors.Join(errs...)
}

// takeOver keeps promoted versions in use over a reload that left them as they
// are, and says which of them the file does not have yet.
func (a *App) takeOver(old, next *table) {
	for name, was := range old.filters {
		if was.next == nil || was.next.trial.State() != shadow.Promoted {
			continue
		}
		is := next.filters[name]
		switch {
		case is.Filter != nil && is.next == was.next:
			a.log.Warn("a filter goes on with its promoted version; write it into the configuration", "filter", name)
		case is.next != nil && is.sameVersion(was) && is.sameSuccessor(was):
			is.next.trial.Continue()
		case is.Filter != nil && is.sum != was.next.sum:
			a.log.Warn("a filter's promoted version is not in use any more; the configuration has another", "filter", name)
		}
	}
}
