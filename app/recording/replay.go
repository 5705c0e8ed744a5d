package recording

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/wasmrouter/router/app/offline"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/app/workbench"
)

// ReplayOptions say what recordings are held against.
type ReplayOptions struct {
	Files  []string          // recordings, in the order in which they were made
	Config string            // the configuration's file
	Routes []string          // whose messages; none are all
	Filter map[string]string // modules to use in place of the configuration's, by the filter's name
	Ignore []string          // what may differ: body, header:NAME, property:NAME, error
	Limit  int               // differences that are kept; all are counted
	Logger *slog.Logger      // gets what filters log; nil discards
	// Progress, if set, is told now and then how many messages were replayed.
	Progress func(done int)
}

// Replayed is what would change.
type Replayed struct {
	Messages    int            `json:"messages"`
	Same        int            `json:"same"`
	Different   int            `json:"different"`
	Unknown     map[string]int `json:"unknown,omitempty"` // messages of routes that the configuration has not
	Kinds       map[string]int `json:"kinds"`             // how many messages differ in what
	Differences []Difference   `json:"differences"`
	Torn        []string       `json:"torn,omitempty"` // files that break off, and where
}

// Difference is one message that something else would become of.
type Difference struct {
	Message int      `json:"message"` // its number in the recording, from 1
	Route   string   `json:"route"`
	ID      string   `json:"id,omitempty"` // the property message_id
	Changes []Change `json:"changes"`
}

// Change is one thing that would be different.
type Change struct {
	What string `json:"what"`
	To   string `json:"to,omitempty"` // the target of the message that is meant
	Was  any    `json:"was"`          // nil is nothing
	Now  any    `json:"now"`
}

// Replay passes the messages of recordings through the routes of a configuration,
// and says of which something else would become. The error is of what keeps it from
// that; it holds all problems of the configuration.
func Replay(ctx context.Context, o ReplayOptions) (*Replayed, error) {
	ignore, err := parseIgnore(o.Ignore)
	if err != nil {
		return nil, err
	}
	modules := map[string][]byte{}
	for name, path := range o.Filter {
		s, err := workbench.Open(path, workbench.Options{})
		if err != nil {
			return nil, fmt.Errorf("filter %s: %w", name, err)
		}
		modules[name] = s.Module
	}
	routes, _, err := offline.Open(ctx, o.Config, offline.Options{Modules: modules, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	r := &replay{options: o, routes: routes, ignore: ignore, wanted: wanted(o.Routes)}
	r.report = Replayed{Kinds: map[string]int{}, Unknown: map[string]int{}, Differences: []Difference{}}
	err = r.run(ctx)
	return &r.report, errors.Join(err, routes.Close(context.WithoutCancel(ctx)))
}

// wanted returns a function that says whether a route is one of those named.
func wanted(routes []string) func(string) bool {
	return func(name string) bool { return len(routes) == 0 || slices.Contains(routes, name) }
}

type replay struct {
	options ReplayOptions
	routes  *offline.Router
	ignore  func(what string) bool
	wanted  func(route string) bool
	report  Replayed
}

func (r *replay) run(ctx context.Context) (err error) {
	for _, name := range r.options.Routes {
		if !slices.Contains(r.routes.Routes(), name) {
			return r.routes.NoRoute(name)
		}
	}
	known := r.routes.Routes()
	r.report.Torn, err = each(r.options.Files, func(n int, was *record.Record) error {
		if !r.wanted(was.Route) {
			return nil
		}
		if !slices.Contains(known, was.Route) {
			r.report.Unknown[was.Route]++
			return nil
		}
		now, err := r.routes.Run(ctx, was.Route, was.Received)
		if err != nil {
			return err
		}
		r.compare(n, was, now)
		if r.options.Progress != nil && r.report.Messages%256 == 0 {
			r.options.Progress(r.report.Messages)
		}
		return nil
	})
	return err
}

// compare counts a message, and keeps what is different.
func (r *replay) compare(n int, was, now *record.Record) {
	r.report.Messages++
	changes := slices.DeleteFunc(r.diff(was, now), func(c Change) bool { return r.ignore(c.What) })
	if len(changes) == 0 {
		r.report.Same++
		return
	}
	r.report.Different++
	counted := map[string]bool{}
	for _, c := range changes {
		if kind := c.kind(); !counted[kind] {
			counted[kind] = true
			r.report.Kinds[kind]++
		}
	}
	if len(r.report.Differences) < r.options.Limit {
		r.report.Differences = append(r.report.Differences, Difference{n, was.Route, was.Received.MessageID, changes})
	}
}

// kind is what messages that differ are counted by.
func (c *Change) kind() string {
	switch c.What {
	case whatAction:
		return fmt.Sprintf("%s %v -> %v", c.What, c.Was, c.Now)
	case whatMessage:
		return "targets"
	}
	return c.What
}

// parseIgnore returns a function that says whether a change does not count.
func parseIgnore(list []string) (func(what string) bool, error) {
	ignored := map[string]bool{}
	for _, s := range list {
		kind, name, named := strings.Cut(s, ":")
		switch {
		case kind == "header" && name != "":
			ignored["header "+name] = true
		case kind == "property" && name != "":
			ignored[name] = true
		case !named && (kind == "body" || kind == whatError):
			ignored[kind] = true
		default:
			return nil, fmt.Errorf("%q cannot be ignored; write body, error, header:NAME or property:NAME", s)
		}
	}
	return func(what string) bool { return ignored[what] }, nil
}
