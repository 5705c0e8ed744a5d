package filter

// The levels of [Log].
const (
	LevelDebug int32 = iota
	LevelInfo
	LevelWarn
	LevelError
)

// MetricKind is the kind of a metric that [DefineMetric] makes.
type MetricKind int32

// The kinds of metric.
const (
	Counter MetricKind = iota
	Gauge
	Histogram // of seconds
)
