package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmrouter/router/router"
)

// descs are the metrics, in the order in which they are documented.
type descs struct {
	all []*prometheus.Desc

	buildInfo, ready *prometheus.Desc

	received, settled, sent, targets, duplicates, inflight, held, duration *prometheus.Desc
	deadLetters, deadLetterFailures, retries, redelivered, paused          *prometheus.Desc

	filterRefusals *prometheus.Desc

	errorReplies, proxyPending, proxyCalls, proxyKeepAlives, proxyLate *prometheus.Desc

	filterDuration, filterFailures, filterInstances, filterCalls *prometheus.Desc
	filterFuel, filterFuelCalls, filterFuelMost                  *prometheus.Desc
	filterCreated, filterRestarts, filterUnstarted               *prometheus.Desc
	filterDiscarded, filterRecycled                              *prometheus.Desc
	filterFailing, filterBackoff                                 *prometheus.Desc
	filterMemory, filterLogs, userCounter, userGauge, userTimes  *prometheus.Desc
	kvEntries, kvBytes, kvLookups, kvEvictions                   *prometheus.Desc

	shadowState, shadowCompared, shadowDifferences *prometheus.Desc
	shadowServed, shadowFailures, shadowShed       *prometheus.Desc

	poolItems, poolMax, poolAcquires, poolWaits, poolWaiting *prometheus.Desc
	poolWaitTime, poolMade, poolMakeFailures, poolClosed     *prometheus.Desc
	poolCanceled, poolResetFailures, poolLateUses            *prometheus.Desc

	traffic  figures[TrafficStat]
	embedded figures[EmbeddedStat]
	client   figures[ClientStat]
	server   figures[ServerStat]
	listener figures[ListenerStat]
	traces   figures[TraceStat]
	logs     figures[LogStat]

	connected, blocked, connects, reconnects, blockedTime *prometheus.Desc
	consuming, undecodable, quarantine, lacks, lastLoss   *prometheus.Desc

	reloadOK, reloadTime *prometheus.Desc
}

// describe makes a description; "router_" is put before the name.
type describe func(name, help string, labels ...string) *prometheus.Desc

func newDescs() *descs {
	d := &descs{}
	var desc describe = func(name, help string, labels ...string) *prometheus.Desc {
		x := prometheus.NewDesc("router_"+name, help, labels, nil)
		d.all = append(d.all, x)
		return x
	}
	d.buildInfo = desc("build_info", "What runs; always 1.", "version", "revision", "goversion")

	d.ready = desc("ready", "Whether every route consumes and the router can send; /readyz says why not.")

	d.received = desc("messages_received_total", "Messages taken from the route's queue.", "route")
	d.settled = desc("messages_settled_total", "Messages settled, by how.", "route", "verdict")
	d.sent = desc("messages_sent_total", "Messages published for the route, by what became of them.", "route", "result")
	d.targets = desc("target_messages_total", "Messages published for the route, by target and by what became of them; other is targets that only filters name.", "route", "target", "result")
	d.duplicates = desc("duplicates_total", "Sends left out because the target already had the message.", "route")
	d.inflight = desc("inflight_messages", "Messages taken and not settled.", "route")
	d.paused = desc("route_paused", "Whether the route takes no messages because an operator has paused it.", "route")
	d.held = desc("held_messages", "Messages waiting to be tried again.", "route")
	d.duration = desc("message_duration_seconds", "Time from receiving to settling a message.", "route")
	d.deadLetters = desc("dead_letters_total", "Messages put away as dead letters, by reason.", "route", "reason")
	d.deadLetterFailures = desc("dead_letter_failures_total", "Dead letters that could not be put away; the message stays in its queue.", "route")
	d.retries = desc("retries_total", "Attempts after the first.", "route")
	d.redelivered = desc("redelivered_total", "Messages that the broker delivered again.", "route")
	d.filterRefusals = desc("route_filter_failures_total", "Failures of filters on messages of the route.", "route")

	d.errorReplies = desc("error_replies_total", "Failures that the router answered calls with, by what became of them.", "route", "result")
	d.proxyPending = desc("proxy_pending_calls", "Calls made in the route's name that wait for their reply.", "route")
	d.proxyCalls = desc("proxy_calls_total", "Calls made in the route's name that have ended, by how.", "route", "result")
	d.proxyKeepAlives = desc("proxy_keepalives_total", "Keep-alives passed on to callers.", "route")
	d.proxyLate = desc("proxy_late_replies_total", "Replies that no call waited for and were dropped.", "route")

	d.filterCalls = desc("filter_calls_total", "Calls of a filter's hook.", "filter", "hook")
	d.filterFuel = desc("filter_fuel_total", "Fuel burned by those calls of a filter's hook that were looked at.", "filter", "hook")
	d.filterFuelCalls = desc("filter_fuel_calls_total", "Calls of a filter's hook whose fuel was looked at.", "filter", "hook")
	d.filterFuelMost = desc("filter_fuel_most", "Most fuel that one of those calls burned.", "filter", "hook")
	d.filterDuration = desc("filter_duration_seconds", "Time of one call of a filter's hook.", "filter", "hook")
	d.filterFailures = desc("filter_failures_total", "Failed calls of a filter's hook, by reason.", "filter", "hook", "reason")
	d.filterInstances = desc("filter_instances", "Instances of a filter.", "filter", "state")
	d.filterCreated = desc("filter_instances_created_total", "Instances of a filter ever made.", "filter")
	d.filterRestarts = desc("filter_restarts_total", "Instances of a filter given to a lane in place of one it had lost.", "filter")
	d.filterUnstarted = desc("filter_start_failures_total", "Instances of a filter that could not be started, by reason.", "filter", "reason")
	d.filterDiscarded = desc("filter_instances_discarded_total", "Instances of a filter thrown away after a failure, by reason.", "filter", "reason")
	d.filterRecycled = desc("filter_instances_recycled_total", "Instances of a filter replaced before they failed, by reason.", "filter", "reason")
	d.filterFailing = desc("filter_failing", "Whether the filter keeps failing and rests before it is started again.", "filter")
	d.filterBackoff = desc("filter_backoff_seconds", "How long a filter that keeps failing rests before it is started again.", "filter")
	d.filterMemory = desc("filter_memory_bytes", "Linear memory of a filter's lent instances.", "filter")
	d.filterLogs = desc("filter_log_lines_dropped_total", "Log lines of a filter over its limit.", "filter")
	d.kvEntries = desc("filter_kv_entries", "Entries in a filter's cache.", "filter")
	d.kvBytes = desc("filter_kv_bytes", "Bytes that the entries of a filter's cache count for.", "filter")
	d.kvLookups = desc("filter_kv_lookups_total", "Look-ups in a filter's cache, by whether there was an entry.", "filter", "result")
	d.kvEvictions = desc("filter_kv_evictions_total", "Living entries of a filter's cache that made room for others.", "filter")
	d.userCounter = desc("filter_user_total", "Counters that filters define.", "filter", "name", "label")
	d.userGauge = desc("filter_user_value", "Gauges that filters define.", "filter", "name", "label")
	d.userTimes = desc("filter_user_seconds", "Histograms of seconds that filters define.", "filter", "name", "label")

	d.shadowState = desc("filter_shadow_state", "How far the new version of a filter has come; 1 for the state it is in.", "filter", "state")
	d.shadowCompared = desc("filter_shadow_compared_total", "Messages that both versions of a filter have had.", "filter")
	d.shadowDifferences = desc("filter_shadow_differences_total", "Messages that the versions of a filter treat differently.", "filter")
	d.shadowServed = desc("filter_shadow_served_total", "Messages that the new version of a filter was to decide.", "filter")
	d.shadowFailures = desc("filter_shadow_failures_total", "Calls in which the new version of a filter failed.", "filter")
	d.shadowShed = desc("filter_shadow_shed_total", "Messages that were not compared, for want of room or time.", "filter")

	d.poolItems = desc("pool_items", "Items of a pool.", "pool", "state")
	d.poolMax = desc("pool_max_items", "Most items that a pool may have.", "pool")
	d.poolAcquires = desc("pool_acquires_total", "Items lent.", "pool")
	d.poolWaiting = desc("pool_waiting", "Borrowers in line now.", "pool")
	d.poolWaits = desc("pool_waits_total", "Borrowers that had to wait in line.", "pool")
	d.poolWaitTime = desc("pool_wait_seconds_total", "Time that borrowers spent in line.", "pool")
	d.poolCanceled = desc("pool_waits_canceled_total", "Waits in line that ended without an item.", "pool")
	d.poolMade = desc("pool_made_total", "Items made.", "pool")
	d.poolMakeFailures = desc("pool_make_failures_total", "Items that could not be made.", "pool")
	d.poolResetFailures = desc("pool_reset_failures_total", "Items that could not be made fit for the next borrower; they count as broken, too.", "pool")
	d.poolClosed = desc("pool_closed_total", "Items closed, by why.", "pool", "reason")
	d.poolLateUses = desc("pool_late_uses_total", "Uses of an item after it was given back, which are mistakes of the program.", "pool")

	d.traffic = newFigures(desc, trafficFigures)
	d.connected = desc("amqp_connected", "Whether the connection is up.", "purpose")
	d.blocked = desc("amqp_blocked", "Whether the broker blocks the connection now.", "purpose")
	d.connects = desc("amqp_connects_total", "Connections made.", "purpose")
	d.reconnects = desc("amqp_reconnects_total", "Connections made after the first.", "purpose")
	d.blockedTime = desc("amqp_blocked_seconds_total", "Time for which the broker blocked the connection.", "purpose")
	d.undecodable = desc("amqp_undecodable_losses_total", "Connections lost because a message in the queue could not be decoded.", "purpose")
	d.quarantine = desc("amqp_quarantine", "Whether messages are taken one at a time, because one of them cannot be decoded.", "purpose")

	d.consuming = desc("amqp_consuming", "Whether the listener's consumer is registered.", "purpose")
	d.lacks = desc("amqp_topology_incomplete", "Whether something of the topology could not be declared.", "purpose")
	d.lastLoss = desc("amqp_last_loss_timestamp_seconds", "When the connection was last lost or could not be made.", "purpose")
	d.embedded = newFigures(desc, embeddedFigures)

	d.client = newFigures(desc, clientFigures, "service")
	d.server = newFigures(desc, serverFigures, "service")
	d.listener = newFigures(desc, listenerFigures, "service")
	d.traces = newFigures(desc, traceFigures)
	d.logs = newFigures(desc, logFigures)

	d.reloadOK = desc("config_last_reload_successful", "Whether the last reload of the configuration succeeded.")
	d.reloadTime = desc("config_last_reload_success_timestamp_seconds", "When the configuration was last loaded with success.")
	return d
}

type collector struct {
	*descs
	source Source
	build  Build
}

// NewCollector returns the router's own metrics, all taken from one snapshot
// for each scrape.
func NewCollector(source Source, build Build) prometheus.Collector {
	return &collector{descs: newDescs(), source: source, build: build}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.all {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	e := &emitter{ch: ch, seen: make(map[string]bool)}
	e.gauge(c.buildInfo, 1, c.build.Version, c.build.Revision, c.build.GoVersion)

	s := c.source.Snapshot()
	for i := range s.Routes {
		c.route(e, &s.Routes[i])
	}
	for i := range s.ErrorReplies {
		e.counters(c.errorReplies, s.ErrorReplies[i].Results, s.ErrorReplies[i].Route)
	}
	for i := range s.Proxies {
		c.proxy(e, &s.Proxies[i])
	}
	for i := range s.Filters {
		c.filter(e, &s.Filters[i])
	}
	for i := range s.Shadows {
		c.shadow(e, &s.Shadows[i])
	}
	for i := range s.Pools {
		c.pool(e, &s.Pools[i])
	}
	for _, conn := range s.Connections {
		e.flag(c.connected, conn.Connected, conn.Purpose)
		e.flag(c.blocked, conn.Blocked, conn.Purpose)
		e.counter(c.reconnects, float64(conn.Reconnects), conn.Purpose)
		e.counter(c.blockedTime, conn.BlockedFor.Seconds(), conn.Purpose)
		e.counter(c.undecodable, float64(conn.Undecodable), conn.Purpose)
		e.flag(c.quarantine, conn.Quarantine, conn.Purpose)
		e.counter(c.connects, float64(conn.Connects), conn.Purpose)
		e.flag(c.lacks, conn.Lacks, conn.Purpose)
		if conn.Listens {
			e.flag(c.consuming, conn.Consuming, conn.Purpose)
		}
		e.time(c.lastLoss, conn.LastLoss, conn.Purpose)
	}
	for i := range s.Services {
		svc := &s.Services[i]
		c.client.emit(e, &svc.Client, svc.Name)
		c.server.emit(e, &svc.Server, svc.Name)
		c.listener.emit(e, &svc.Listener, svc.Name)
	}
	optional(e, &c.traffic, s.Traffic)
	optional(e, &c.embedded, s.Embedded)
	optional(e, &c.traces, s.Traces)
	optional(e, &c.logs, s.Logs)
	if s.Ready != nil {
		e.flag(c.ready, *s.Ready)
	}
	if s.Config != nil {
		e.flag(c.reloadOK, s.Config.Successful)
		e.time(c.reloadTime, s.Config.LastSuccess)
	}
}

func optional[T any](e *emitter, fs *figures[T], of *T) {
	if of != nil {
		fs.emit(e, of)
	}
}

func (c *collector) route(e *emitter, r *RouteStat) {
	e.counter(c.received, float64(r.Received), r.Name)
	for i, n := range r.Settled {
		e.counter(c.settled, float64(n), r.Name, router.VerdictNames[i])
	}
	for i, n := range r.Sent {
		e.counter(c.sent, float64(n), r.Name, router.SentNames[i])
	}
	c.target(e, r)
	e.counter(c.duplicates, float64(r.Duplicates), r.Name)
	e.gauge(c.inflight, float64(r.Inflight), r.Name)
	e.gauge(c.held, float64(r.Held), r.Name)
	e.timed(c.duration, r.Duration, r.Exemplars, r.Name)
	e.counter(c.filterRefusals, float64(r.FilterFailures), r.Name)
	e.flag(c.paused, r.Paused, r.Name)
	e.counters(c.deadLetters, r.DeadLetters, r.Name)
	e.counter(c.deadLetterFailures, float64(r.DeadLetterFailures), r.Name)
	e.counter(c.retries, float64(r.Retries), r.Name)
	e.counter(c.redelivered, float64(r.Redelivered), r.Name)
}

// target sends what went to each target. What filters choose they may have from a
// message, and that is to be no label: it counts as other.
func (c *collector) target(e *emitter, r *RouteStat) {
	other := router.TargetStat{Target: overflow}
	found := false
	for _, t := range r.Targets {
		if t.Named {
			c.sentTo(e, r.Name, &t)
			continue
		}
		found = true
		for i, n := range t.Sent {
			other.Sent[i] += n
		}
	}
	if found {
		c.sentTo(e, r.Name, &other)
	}
}

func (c *collector) sentTo(e *emitter, route string, t *router.TargetStat) {
	for i, n := range t.Sent {
		e.counter(c.targets, float64(n), route, t.Target, router.SentNames[i])
	}
}

func (c *collector) proxy(e *emitter, p *ProxyStat) {
	e.gauge(c.proxyPending, float64(p.Pending), p.Route)
	e.counters(c.proxyCalls, p.Results, p.Route)
	e.counter(c.proxyKeepAlives, float64(p.KeepAlives), p.Route)
	e.counter(c.proxyLate, float64(p.Late), p.Route)
}

func (c *collector) filter(e *emitter, f *FilterStat) {
	for _, h := range f.Hooks {
		e.counter(c.filterCalls, float64(h.Calls), f.Name, h.Hook)
		e.counter(c.filterFuel, float64(h.Fuel.Sum), f.Name, h.Hook)
		e.counter(c.filterFuelCalls, float64(h.Fuel.Calls), f.Name, h.Hook)
		e.gauge(c.filterFuelMost, float64(h.Fuel.Most), f.Name, h.Hook)
		e.histogram(c.filterDuration, h.Duration, f.Name, h.Hook)
		e.counters(c.filterFailures, h.Failures, f.Name, h.Hook)
	}
	e.gauge(c.filterInstances, float64(f.Lent), f.Name, "lent")
	e.gauge(c.filterInstances, float64(f.Idle), f.Name, "idle")
	e.counter(c.filterCreated, float64(f.Created), f.Name)
	e.counter(c.filterRestarts, float64(f.Restarts), f.Name)
	e.counters(c.filterUnstarted, f.Unstarted, f.Name)
	e.counters(c.filterDiscarded, f.Discarded, f.Name)
	e.counters(c.filterRecycled, f.Recycled, f.Name)
	e.flag(c.filterFailing, f.Failing, f.Name)
	e.gauge(c.filterBackoff, f.Backoff.Seconds(), f.Name)
	e.gauge(c.filterMemory, float64(f.MemoryBytes), f.Name)
	e.counter(c.filterLogs, float64(f.LogsDropped), f.Name)
	if kv := f.KV; kv != nil {
		e.gauge(c.kvEntries, float64(kv.Entries), f.Name)
		e.gauge(c.kvBytes, float64(kv.Bytes), f.Name)
		e.counter(c.kvLookups, float64(kv.Hits), f.Name, "hit")
		e.counter(c.kvLookups, float64(kv.Misses), f.Name, "miss")
		e.counter(c.kvEvictions, float64(kv.Evictions), f.Name)
	}
	for _, u := range f.User[:min(len(f.User), maxSeries)] {
		switch u.Kind {
		case UserCounter:
			e.counter(c.userCounter, u.Value, f.Name, u.Name, u.Label)
		case UserGauge:
			e.gauge(c.userGauge, u.Value, f.Name, u.Name, u.Label)
		case UserHistogram:
			e.histogram(c.userTimes, u.Histogram, f.Name, u.Name, u.Label)
		}
	}
}

func (c *collector) shadow(e *emitter, s *ShadowStat) {
	for _, state := range ShadowStates {
		e.flag(c.shadowState, s.State == state, s.Filter, state)
	}
	e.counter(c.shadowCompared, float64(s.Compared), s.Filter)
	e.counter(c.shadowDifferences, float64(s.Differences), s.Filter)
	e.counter(c.shadowServed, float64(s.Served), s.Filter)
	e.counter(c.shadowFailures, float64(s.Failures), s.Filter)
	e.counter(c.shadowShed, float64(s.Shed), s.Filter)
}

func (c *collector) pool(e *emitter, p *PoolStat) {
	e.gauge(c.poolItems, float64(p.Lent), p.Name, "lent")
	e.gauge(c.poolItems, float64(p.Idle), p.Name, "idle")
	e.gauge(c.poolItems, float64(p.Making), p.Name, "making")
	e.gauge(c.poolItems, float64(p.Closing), p.Name, "closing")
	e.gauge(c.poolMax, float64(p.Max), p.Name)
	e.gauge(c.poolWaiting, float64(p.Waiting), p.Name)
	e.counter(c.poolAcquires, float64(p.Acquires), p.Name)
	e.counter(c.poolWaits, float64(p.Waits), p.Name)
	e.counter(c.poolWaitTime, p.WaitTime.Seconds(), p.Name)
	e.counter(c.poolCanceled, float64(p.Canceled), p.Name)
	e.counter(c.poolMade, float64(p.Made), p.Name)
	e.counter(c.poolMakeFailures, float64(p.MakeFailures), p.Name)
	e.counter(c.poolResetFailures, float64(p.ResetFailures), p.Name)
	e.counter(c.poolClosed, float64(p.Discards), p.Name, "broken")
	e.counter(c.poolClosed, float64(p.Expired), p.Name, "idle")
	e.counter(c.poolClosed, float64(p.Invalidated), p.Name, "invalidated")
	e.counter(c.poolLateUses, float64(p.LateUses), p.Name)
}
