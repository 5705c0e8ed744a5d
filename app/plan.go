package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// Plan is what a configuration comes to: what each filter is and may do, and
// what each route does with a message.
type Plan struct {
	Filters []FilterPlan `json:"filters"`
	Routes  []RoutePlan  `json:"routes"`
	Declare []string     `json:"declare"`
}

// FilterPlan describes one loaded filter.
type FilterPlan struct {
	Name   string        `json:"name"`
	Path   string        `json:"path"`
	SHA256 string        `json:"sha256"`
	Bytes  int           `json:"bytes"`
	Stages []string      `json:"stages"`
	Needs  string        `json:"needs"`
	Limits config.Limits `json:"limits"`
	Grants []string      `json:"grants"`

	LimitsChanged []string `json:"limits_changed"` // those that are not the default

	Shadow *ShadowPlan `json:"shadow,omitempty"` // the new version that is tried
}

// RoutePlan describes one route.
type RoutePlan struct {
	Name       string       `json:"name"`
	Listen     string       `json:"listen"`
	Format     string       `json:"format"`
	Oslo       *OsloPlan    `json:"oslo,omitempty"`
	Prefetch   int          `json:"prefetch"`
	Order      string       `json:"order"`
	Lanes      int          `json:"lanes"`
	Chain      []StagePlan  `json:"chain"`
	Send       []string     `json:"send,omitempty"`
	Allow      []string     `json:"allow,omitempty"`
	OnError    string       `json:"on_error"`
	Retry      config.Retry `json:"retry"`
	DeadLetter string       `json:"dead_letter"`
	MaxMessage config.Size  `json:"max_message"`
	Dedup      config.Dedup `json:"dedup"`
}

// OsloPlan is what there is besides to a route with format = "oslo".
type OsloPlan struct {
	ErrorReplies bool            `json:"error_replies"`
	Mode         string          `json:"mode"`
	ProxyTimeout config.Duration `json:"proxy_timeout"`
	ProxyCalls   int             `json:"proxy_calls"`
	Replies      []StagePlan     `json:"replies"` // what replies pass in mode proxy
}

// StagePlan names the filters of one stage in the order in which they run.
type StagePlan struct {
	Stage   string   `json:"stage"`
	Filters []string `json:"filters"`
}

// Check loads a configuration and builds everything that [App] would, without
// dialling, and returns what it comes to. The error holds all problems.
func Check(ctx context.Context, path string) (*Plan, []config.Warning, error) {
	cfg, warnings, err := config.Load(path, config.Options{})
	if err != nil {
		return nil, warnings, err
	}
	log := slog.New(slog.DiscardHandler)
	host, err := newHost(ctx, cfg, log)
	if err != nil {
		return nil, warnings, err
	}
	a := &App{host: host, log: log, life: ctx}
	t, broker, err := a.build(ctx, cfg, "")
	if err != nil {
		return nil, warnings, errors.Join(err, host.Close(ctx))
	}
	plan := t.plan()
	t.discard(&table{})
	return plan, warnings, errors.Join(broker.Close(ctx), host.Close(ctx))
}

func (t *table) plan() *Plan {
	p := &Plan{Filters: []FilterPlan{}, Routes: []RoutePlan{}, Declare: []string{}}
	for _, name := range slices.Sorted(maps.Keys(t.filters)) {
		p.Filters = append(p.Filters, t.filterPlan(name))
	}
	for _, name := range slices.Sorted(maps.Keys(t.cfg.Routes)) {
		c := t.cfg.Routes[name]
		rp := RoutePlan{
			Name: name, Listen: c.Queue(name), Format: c.Format, Prefetch: c.Prefetch, Order: c.Order, Lanes: c.Parallel,
			Chain: t.routes[name].chain(), Send: c.Send, Allow: c.Allow, OnError: c.OnError, Retry: c.Retry,
			DeadLetter: c.DeadLetter, MaxMessage: c.MaxMessage, Dedup: c.Dedup,
		}
		if c.Order == "key" {
			rp.Order += " " + c.OrderBy
		}
		if c.Format == "oslo" {
			rp.Oslo = &OsloPlan{c.ErrorReplies, c.Mode, c.ProxyTimeout, c.ProxyCalls, []StagePlan{}}
			if c.Mode == "proxy" {
				rp.Oslo.Replies = t.routes[repliesName(name)].chain()
			}
		}
		p.Routes = append(p.Routes, rp)
	}
	top := topology(t.cfg)
	for _, name := range slices.Sorted(maps.Keys(t.cfg.Routes)) {
		top = top.Join(t.routes[name].cfg.Source.Topology)
	}
	p.Declare = declared(top)
	return p
}

func (t *table) filterPlan(name string) FilterPlan {
	f, c := t.filters[name], t.cfg.Filters[name]
	fp := FilterPlan{
		Name: name, Path: c.Path, SHA256: f.SHA256(), Bytes: f.Size(),
		Stages: stageNames(f.Stages()),
		Needs:  Reads(f.Needs()), Limits: c.Limits, Grants: []string{}, LimitsChanged: []string{},
	}
	for _, l := range limitsOf(c.Limits) {
		if l.changed() {
			fp.LimitsChanged = append(fp.LimitsChanged, l.name)
		}
	}
	if f.next != nil {
		fp.Shadow = f.next.plan(c.Shadow)
	}
	for grant, given := range map[string]bool{"clock": c.Grants.Clock, "random": c.Grants.Random, "metrics": c.Grants.Metrics, "kv": c.Grants.KV} {
		if given {
			fp.Grants = append(fp.Grants, grant)
		}
	}
	slices.Sort(fp.Grants)
	return fp
}

func stageNames(set router.StageSet) []string {
	var names []string
	for s := range router.Stage(router.NumStages) {
		if set.Has(s) {
			names = append(names, s.String())
		}
	}
	return names
}

// declared says what is declared, once each.
func declared(t router.Topology) []string {
	all := []string{}
	add := func(kind, what string, passive, shared bool) {
		line := strings.TrimSpace(kind + " " + what)
		switch {
		case passive:
			line += ", which must exist"
		case shared:
			line += ", unless it exists"
		}
		if !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	for _, x := range t.Exchanges {
		add(x.Type, "exchange "+x.Name, x.Passive, x.Shared)
	}
	for _, q := range t.Queues {
		add(q.Type, "queue "+q.Name, q.Passive, q.Shared)
	}
	for _, b := range t.Bindings {
		add("", fmt.Sprintf("binding %s -[%s]-> %s", b.Exchange, b.Key, b.Queue), false, false)
	}
	return all
}

// chain names the filters of each stage that has any.
func (r *routePart) chain() []StagePlan {
	chain := []StagePlan{}
	for s, filters := range r.current.Load().Chain() {
		if len(filters) > 0 {
			chain = append(chain, StagePlan{router.Stage(s).String(), filters})
		}
	}
	return chain
}

// Reads says in words what a filter reads.
func Reads(n wasmhost.Needs) string {
	var reads []string
	switch {
	case n.Headers && len(n.HeaderNames) > 0:
		reads = append(reads, "headers "+strings.Join(n.HeaderNames, " "))
	case n.Headers:
		reads = append(reads, "headers")
	}
	if n.Properties {
		reads = append(reads, "properties")
	}
	switch {
	case n.Body:
		reads = append(reads, "body")
	case n.BodyPrefix > 0:
		reads = append(reads, fmt.Sprintf("first %d bytes of the body", n.BodyPrefix))
	}
	if len(reads) == 0 {
		return "nothing"
	}
	return strings.Join(reads, ", ")
}

// Route returns the plan of one route alone, with its filters.
func (p *Plan) Route(name string) (*Plan, error) {
	i := slices.IndexFunc(p.Routes, func(r RoutePlan) bool { return r.Name == name })
	if i < 0 {
		var names []string
		for _, r := range p.Routes {
			names = append(names, r.Name)
		}
		return nil, fmt.Errorf("there is no route %q; there are: %s", name, strings.Join(names, ", "))
	}
	one := &Plan{Filters: []FilterPlan{}, Routes: p.Routes[i : i+1], Declare: []string{}}
	for _, f := range p.Filters {
		chain := p.Routes[i].Chain
		if oslo := p.Routes[i].Oslo; oslo != nil {
			chain = slices.Concat(chain, oslo.Replies)
		}
		if slices.ContainsFunc(chain, func(s StagePlan) bool { return slices.Contains(s.Filters, f.Name) }) {
			one.Filters = append(one.Filters, f)
		}
	}
	return one, nil
}

func (o *OsloPlan) describe(row func(key, format string, args ...any)) {
	if o.Mode == "proxy" {
		row("mode", "proxy; up to %d calls wait for their reply, %s each unless they say how long", o.ProxyCalls, o.ProxyTimeout)
		for _, s := range o.Replies {
			row("reply "+s.Stage, "%s", strings.Join(s.Filters, " → "))
		}
	} else {
		row("mode", "forward; servers answer the callers")
	}
	if o.ErrorReplies {
		row("lost calls", "are answered with a failure")
	} else {
		row("lost calls", "are not answered")
	}
}

// WriteText writes the plan for people.
func (p *Plan) WriteText(w io.Writer) error {
	for _, r := range p.Routes {
		fmt.Fprintf(w, "route %s\n", r.Name)
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		row := func(key, format string, args ...any) {
			fmt.Fprintf(tw, "  %s\t%s\n", key, fmt.Sprintf(format, args...))
		}
		lanes := "1 lane"
		if r.Lanes > 1 {
			lanes = fmt.Sprintf("%d lanes", r.Lanes)
		}
		row("listen", "queue %s, prefetch %d, order by %s, %s", r.Listen, r.Prefetch, r.Order, lanes)
		for _, s := range r.Chain {
			row(s.Stage, "%s", strings.Join(s.Filters, " → "))
		}
		if r.Oslo != nil {
			r.Oslo.describe(row)
		}
		if len(r.Allow) > 0 {
			row("may send to", "%s", strings.Join(r.Allow, ", "))
		}
		if len(r.Send) > 0 {
			label := "sends to"
			if slices.ContainsFunc(r.Chain, func(s StagePlan) bool { return s.Stage == router.Decide.String() }) {
				label = "otherwise to"
			}
			row(label, "%s", strings.Join(r.Send, ", "))
		}
		unroutable := ""
		if r.Retry.Unroutable {
			unroutable = ", unroutable messages too"
		}
		row("on error", "%s; up to %d attempts, %s to %s apart%s", r.OnError, r.Retry.MaxAttempts, r.Retry.Backoff, r.Retry.MaxBackoff, unroutable)
		row("dead letters", "queue %s", r.DeadLetter)
		row("largest body", "%s", r.MaxMessage)
		if r.Dedup.Window > 0 {
			row("duplicates", "dropped within the last %d messages and %s, by message id", r.Dedup.Window, r.Dedup.TTL)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	for _, f := range p.Filters {
		fmt.Fprintf(w, "filter %s\n", f.Name)
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintf(tw, "  module\t%s, %s, sha256 %s\n", f.Path, config.Size(f.Bytes), f.SHA256)
		fmt.Fprintf(tw, "  stages\t%s\n", strings.Join(f.Stages, ", "))
		fmt.Fprintf(tw, "  reads\t%s\n", f.Needs)
		writeLimits(tw, f.Limits)
		grants := "none"
		if len(f.Grants) > 0 {
			grants = strings.Join(f.Grants, ", ")
		}
		fmt.Fprintf(tw, "  grants\t%s\n", grants)
		if s := f.Shadow; s != nil {
			fmt.Fprintf(tw, "  new version\t%s, %s, sha256 %s, stages %s\n", s.Path, config.Size(s.Bytes), s.SHA256, strings.Join(s.Stages, ", "))
			fmt.Fprintf(tw, "  \t%s\n", s.rule())
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	if len(p.Declare) > 0 {
		fmt.Fprintln(w, "declares")
		for _, d := range p.Declare {
			fmt.Fprintf(w, "  %s\n", d)
		}
	}
	return nil
}
