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
// the names of connections and pools. Connections to queues whose names are others
// each time, such as those for replies, have a name that stays and count together:
// a time series for each would never be seen again.
func AddBroker(to *telemetry.Snapshot, prefix string, b amqp.Stat) {
	for _, c := range b.Connections {
		_, listens := strings.CutPrefix(c.Purpose, "listen ")
		add(to, telemetry.ConnStat{
			Purpose: prefix + c.Alias, Connected: c.Connected, Blocked: c.Blocked, BlockedFor: c.BlockedFor,
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

// add adds a connection, or joins it with the one of the same purpose: it is up and
// consumes if both do, and lacks what one of them does.
func add(to *telemetry.Snapshot, c telemetry.ConnStat) {
	i := slices.IndexFunc(to.Connections, func(has telemetry.ConnStat) bool { return has.Purpose == c.Purpose })
	if i < 0 {
		to.Connections = append(to.Connections, c)
		return
	}
	has := &to.Connections[i]
	has.Connected = has.Connected && c.Connected
	has.Consuming = has.Consuming && c.Consuming
	has.Blocked = has.Blocked || c.Blocked
	has.Quarantine = has.Quarantine || c.Quarantine
	has.Lacks = has.Lacks || c.Lacks
	has.BlockedFor += c.BlockedFor
	has.Connects += c.Connects
	has.Reconnects += c.Reconnects
	has.Undecodable += c.Undecodable
	if c.LastLoss.After(has.LastLoss) {
		has.LastLoss = c.LastLoss
	}
}
