package telemetry

// TrafficStat is what went to and came from the broker, over all connections.
type TrafficStat struct {
	InFlight      int64 // publishes that the broker has not answered
	InFlightBytes int64 // bodies of those

	Published   uint64 // messages handed to the broker
	Confirmed   uint64 // of them: taken, and not returned
	Returned    uint64 // of them: unroutable
	Nacked      uint64 // of them: refused
	Unconfirmed uint64 // of them: nobody knows
	Unsendable  uint64 // refused before, or because of, publishing

	Delivered   uint64 // messages handed to listeners
	Acked       uint64
	Requeued    uint64 // given back to the broker
	AcksDropped uint64 // settlements of sessions that had ended
}

var trafficFigures = []figure[TrafficStat]{
	{"amqp_publishes_in_flight", "Publishes that the broker has not answered.", "", func(s *TrafficStat) float64 { return float64(s.InFlight) }},
	{"amqp_publishes_in_flight_bytes", "Bodies of the publishes that the broker has not answered.", "", func(s *TrafficStat) float64 { return float64(s.InFlightBytes) }},
	{"amqp_published_total", "Messages handed to the broker.", "", func(s *TrafficStat) float64 { return float64(s.Published) }},
	{"amqp_publish_results_total", "Publishes that have ended, by how.", "result=confirmed", func(s *TrafficStat) float64 { return float64(s.Confirmed) }},
	{"amqp_publish_results_total", "", "result=returned", func(s *TrafficStat) float64 { return float64(s.Returned) }},
	{"amqp_publish_results_total", "", "result=nacked", func(s *TrafficStat) float64 { return float64(s.Nacked) }},
	{"amqp_publish_results_total", "", "result=unconfirmed", func(s *TrafficStat) float64 { return float64(s.Unconfirmed) }},
	{"amqp_publish_results_total", "", "result=unsendable", func(s *TrafficStat) float64 { return float64(s.Unsendable) }},
	{"amqp_delivered_total", "Messages handed to listeners.", "", func(s *TrafficStat) float64 { return float64(s.Delivered) }},
	{"amqp_settled_total", "Deliveries settled at the broker, by how; stale ones came from sessions that had ended, and the broker delivers them again.", "how=ack", func(s *TrafficStat) float64 { return float64(s.Acked) }},
	{"amqp_settled_total", "", "how=requeue", func(s *TrafficStat) float64 { return float64(s.Requeued) }},
	{"amqp_settled_total", "", "how=stale", func(s *TrafficStat) float64 { return float64(s.AcksDropped) }},
}

// EmbeddedStat is a broker of the router's own.
type EmbeddedStat struct {
	Connections int
	Consumers   int
	Queues      int
	Ready       int   // messages that wait for a consumer
	Unacked     int   // messages that wait for an acknowledgement
	Memory      int64 // of messages, in bytes
	MaxMemory   int64
	Blocked     bool // those that publish have to wait
}

var embeddedFigures = []figure[EmbeddedStat]{
	{"embedded_broker_connections", "Connections to the router's own broker.", "", func(s *EmbeddedStat) float64 { return float64(s.Connections) }},
	{"embedded_broker_consumers", "Consumers of the router's own broker.", "", func(s *EmbeddedStat) float64 { return float64(s.Consumers) }},
	{"embedded_broker_queues", "Queues of the router's own broker.", "", func(s *EmbeddedStat) float64 { return float64(s.Queues) }},
	{"embedded_broker_messages", "Messages in the router's own broker, by state.", "state=ready", func(s *EmbeddedStat) float64 { return float64(s.Ready) }},
	{"embedded_broker_messages", "", "state=unacked", func(s *EmbeddedStat) float64 { return float64(s.Unacked) }},
	{"embedded_broker_memory_bytes", "What messages take in the router's own broker.", "", func(s *EmbeddedStat) float64 { return float64(s.Memory) }},
	{"embedded_broker_max_memory_bytes", "What messages may take in the router's own broker.", "", func(s *EmbeddedStat) float64 { return float64(s.MaxMemory) }},
	{"embedded_broker_blocked", "Whether those that publish to the router's own broker have to wait.", "", func(s *EmbeddedStat) float64 { return truth(s.Blocked) }},
}

// TraceStat is what became of spans. What is in neither Sent nor Failed waits to
// be sent, or was dropped because too many waited.
type TraceStat struct {
	Ended, Sent, Failed uint64
}

var traceFigures = []figure[TraceStat]{
	{"trace_spans_total", "Spans that were made.", "", func(s *TraceStat) float64 { return float64(s.Ended) }},
	{"trace_spans_exported_total", "Spans that were sent to the collector, by whether it took them; what is missing from the spans made waits, or was dropped for want of room.", "result=ok", func(s *TraceStat) float64 { return float64(s.Sent) }},
	{"trace_spans_exported_total", "", "result=failed", func(s *TraceStat) float64 { return float64(s.Failed) }},
}

// LogStat is what was logged.
type LogStat struct {
	Debug, Info, Warn, Error uint64 // lines written, by level
	Suppressed               uint64 // lines left out because the same was said again and again
}

var logFigures = []figure[LogStat]{
	{"log_lines_total", "Lines logged, by level.", "level=debug", func(s *LogStat) float64 { return float64(s.Debug) }},
	{"log_lines_total", "", "level=info", func(s *LogStat) float64 { return float64(s.Info) }},
	{"log_lines_total", "", "level=warn", func(s *LogStat) float64 { return float64(s.Warn) }},
	{"log_lines_total", "", "level=error", func(s *LogStat) float64 { return float64(s.Error) }},
	{"log_lines_suppressed_total", "Lines left out because the same was said again and again.", "", func(s *LogStat) float64 { return float64(s.Suppressed) }},
}

func truth(v bool) float64 {
	if v {
		return 1
	}
	return 0
}
