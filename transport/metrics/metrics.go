// Package metrics offers the figures of transports to Prometheus:
//
//	registry.MustRegister(telemetry.NewCollector(metrics.Source{"orders": t}, telemetry.Build{}))
package metrics

import (
	"maps"
	"slices"
	"strings"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/telemetry"
	"github.com/wasmrouter/router/transport"
)

// Source are transports by the names that their metrics have in the label service.
type Source map[string]*transport.Transport

var _ telemetry.Source = Source(nil)

// Snapshot implements [telemetry.Source].
func (s Source) Snapshot() telemetry.Snapshot {
	var all telemetry.Snapshot
	for _, name := range slices.Sorted(maps.Keys(s)) {
		st := s[name].Stat()
		prefix := ""
		if len(s) > 1 {
			prefix = name + " "
		}
		AddBroker(&all, prefix, st.Broker)
		all.Services = append(all.Services, telemetry.ServiceStat{
			Name: name, Client: telemetry.ClientStat(st.Client), Server: telemetry.ServerStat(st.Server), Listener: telemetry.ListenerStat(st.Listener),
		})
	}
	return all
}

// AddBroker adds what went over the connections to a broker. Prefix comes before
// the names of connections and pools.
func AddBroker(to *telemetry.Snapshot, prefix string, b amqp.Stat) {
	for _, c := range b.Connections {
		_, listens := strings.CutPrefix(c.Purpose, "listen ")
		to.Connections = append(to.Connections, telemetry.ConnStat{
			Purpose: prefix + c.Purpose, Connected: c.Connected, Blocked: c.Blocked, BlockedFor: c.BlockedFor,
			Connects: c.Connects, Reconnects: c.Reconnects, Listens: listens, Consuming: c.Consuming,
			Undecodable: c.Poisoned, Quarantine: c.Quarantine, Lacks: c.Lacks != "", LastLoss: c.LastLoss,
		})
	}
	to.Pools = append(to.Pools, telemetry.PoolStat{Name: prefix + "channels", Stat: b.Channels})
	if to.Traffic == nil {
		to.Traffic = &telemetry.TrafficStat{}
	}
	sum := to.Traffic
	sum.InFlight += b.InFlight
	sum.InFlightBytes += b.InFlightBytes
	sum.Published += b.Published
	sum.Confirmed += b.Confirmed
	sum.Returned += b.Returned
	sum.Nacked += b.Nacked
	sum.Unconfirmed += b.Unconfirmed
	sum.Unsendable += b.Unsendable
	sum.Delivered += b.Delivered
	sum.Acked += b.Acked
	sum.Requeued += b.Requeued
	sum.AcksDropped += b.AcksDropped
}
