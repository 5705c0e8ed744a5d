package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/telemetry"
	"github.com/wasmrouter/router/transport/metrics"
	"github.com/wasmrouter/router/wasmhost"
)

// Ready reports whether every route consumes that is not paused and the router can
// send, and if not, why. Which routes are paused is among the reasons either way.
func (a *App) Ready() (bool, []string) {
	if a.life.Err() != nil {
		return false, []string{"draining"}
	}
	t, broker := a.table.Load(), a.broker.Load()
	if t == nil || broker == nil {
		return false, []string{"starting"}
	}
	reasons, paused := []string{}, []string{}
	consuming, cause := make(map[string]bool), make(map[string]string)
	for _, c := range broker.Stat().Connections {
		if queue, ok := strings.CutPrefix(c.Purpose, "listen "); ok {
			consuming[queue] = consuming[queue] || c.Consuming
			cause[queue] = c.LastError
			continue
		}
		switch {
		case !c.Connected:
			reasons = append(reasons, because("broker: not connected", c.LastError))
		case c.Blocked:
			reasons = append(reasons, "broker: it has blocked publishing, it is short of memory or disk")
		}
		if c.Lacks != "" {
			reasons = append(reasons, "broker: not all of the topology is there: "+c.Lacks)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.routes)) {
		r := t.routes[name]
		queue := r.cfg.Source.Queue
		switch failure, since := r.failure.Load(), r.gate.closed(); {
		case !since.IsZero():
			paused = append(paused, fmt.Sprintf("route %s: paused since %s", name, since.UTC().Format(time.RFC3339)))
		case failure != nil:
			reasons = append(reasons, fmt.Sprintf("route %s: %s", name, *failure))
		case !consuming[queue]:
			reasons = append(reasons, because(fmt.Sprintf("route %s: not consuming queue %s", name, queue), cause[queue]))
		}
		if s := r.current.Load().Stat(); s.DeadLetterFailures > 0 && s.Held > 0 {
			reasons = append(reasons, fmt.Sprintf("route %s: dead letters are not taken by queue %s; the messages stay in their queue", name, r.cfg.DeadLetter.Queue))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.filters)) {
		if f := t.filters[name].Stat().Failing; f != nil {
			reasons = append(reasons, fmt.Sprintf("filter %s keeps failing (%s; %d in a row), next try %s", name, f.Cause, f.InARow, nextTry(f.Next)))
		}
	}
	return len(reasons) == 0, append(reasons, paused...)
}

func nextTry(in time.Duration) string {
	if in <= 0 {
		return "with the next message"
	}
	return "in " + max(in.Round(100*time.Millisecond), 100*time.Millisecond).String()
}

func because(what, cause string) string {
	if cause == "" {
		return what
	}
	return what + ": " + cause
}

// Snapshot returns the process at this moment, for metrics.
func (a *App) Snapshot() telemetry.Snapshot {
	var s telemetry.Snapshot
	t, broker := a.table.Load(), a.broker.Load()
	if t == nil || broker == nil {
		return s
	}
	for _, name := range slices.Sorted(maps.Keys(t.routes)) {
		s.Routes = append(s.Routes, a.routeStat(name, t.routes[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(t.filters)) {
		f := t.filters[name]
		s.Filters = append(s.Filters, filterStat(f.Stat()))
		if f.next != nil {
			s.Filters = append(s.Filters, filterStat(f.next.Stat()))
			s.Shadows = append(s.Shadows, f.next.stat(name))
		}
	}
	s.ErrorReplies, s.Proxies = t.osloStats()
	metrics.AddBroker(&s, "", broker.Stat())
	if broker.own != nil {
		s.Embedded = embeddedFigures(broker.own.server.Stat())
	}
	if a.traces != nil {
		st := telemetry.TraceStat(a.traces.Stat())
		s.Traces = &st
	}
	logs := a.lines.Stat()
	s.Logs = &logs
	ready, _ := a.Ready()
	s.Ready = &ready
	s.Config = &telemetry.ConfigStat{Successful: !a.reloads.failed.Load(), LastSuccess: time.Unix(0, a.reloads.at.Load())}
	return s
}

// routeStat is one route, with messages of it that were traced.
func (a *App) routeStat(name string, r *routePart) telemetry.RouteStat {
	s := telemetry.RouteStat{Name: name, Paused: !r.gate.closed().IsZero(), RouteStat: r.current.Load().Stat()}
	if a.traces != nil {
		s.Exemplars = a.traces.Exemplars(r.cfg.Name)
	}
	return s
}

// embeddedFigures sums up a broker of the router's own.
func embeddedFigures(b broker.Stat) *telemetry.EmbeddedStat {
	s := &telemetry.EmbeddedStat{
		Connections: len(b.Connections), Queues: len(b.Queues),
		Memory: b.Memory, MaxMemory: b.MaxMemory, Blocked: b.Blocked != "",
	}
	for _, c := range b.Connections {
		s.Consumers += c.Consumers
	}
	for _, q := range b.Queues {
		s.Ready += q.Ready
		s.Unacked += q.Unacked
	}
	return s
}

func filterStat(f wasmhost.Stat) telemetry.FilterStat {
	s := telemetry.FilterStat{
		Name: f.Name, Lent: f.Live, Idle: f.Idle, Created: f.Created, Restarts: f.Restarts,
		Discarded: f.Discarded, Recycled: f.Recycled, Unstarted: f.Unstarted, MemoryBytes: f.MemoryBytes, LogsDropped: f.LogsDropped,
	}
	if f.Failing != nil {
		s.Failing, s.Backoff = true, f.Failing.Rest
	}
	if kv := f.KV; kv != nil {
		s.KV = &telemetry.KVStat{Entries: kv.Entries, Bytes: kv.Bytes, Hits: kv.Hits, Misses: kv.Misses, Evictions: kv.Evictions}
	}
	for _, stage := range f.Stages {
		s.Hooks = append(s.Hooks, telemetry.HookStat{Hook: stage.Stage.String(), Calls: stage.Calls, Fuel: telemetry.FuelStat(stage.Fuel), Failures: stage.Failures, Duration: stage.Duration})
	}
	for _, m := range f.Metrics {
		s.User = append(s.User, telemetry.UserMetric{Name: m.Name, Label: m.Label, Kind: telemetry.UserKind(m.Kind), Value: m.Value, Histogram: m.Histogram})
	}
	return s
}
