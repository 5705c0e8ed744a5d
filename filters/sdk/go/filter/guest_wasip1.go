//go:build wasip1

package filter

import "unsafe"

//go:wasmexport router_abi_1
func exportABI1() {}

//go:wasmexport router_buffer
func exportBuffer(minCap uint32) uint32 {
	if minCap > 1<<30 {
		return 0
	}
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(buffer(minCap)))))
}

//go:wasmexport router_init
func exportInit(at, n uint32) int64 { return Handle(at, n, configure) }

//go:wasmexport router_needs
func exportNeeds() int64 { return Needs }

//go:wasmexport router_needs_headers
func exportNeedsHeaders() int64 { return names(needed) }

func frameAt(_, n uint32) []byte { return input[:n] }

//go:wasmimport router log
func hostLog(level int32, p unsafe.Pointer, n uint32)

//go:wasmimport router log_enabled
func hostLogEnabled(level int32) int32

//go:wasmimport router random
func hostRandom(p unsafe.Pointer, n uint32)

//go:wasmimport router time_ns
func hostTimeNS() int64

//go:wasmimport router body_read
func hostBodyRead(off uint32, p unsafe.Pointer, n uint32) uint32

//go:wasmimport router metric_def
func hostMetricDef(kind int32, p unsafe.Pointer, n uint32) int32

//go:wasmimport router metric_add
func hostMetricAdd(id int32, v int64)

//go:wasmimport router metric_obs
func hostMetricObs(id int32, v float64)

// LogEnabled reports whether a line of that level would be written.
func LogEnabled(level int32) bool { return hostLogEnabled(level) != 0 }

// Log writes one line, of which 1 KiB is kept, to the router's log.
func Log(level int32, text string) {
	if LogEnabled(level) {
		hostLog(level, unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
	}
}

// Random fills b: with bytes that depend only on the message, unless the
// filter has the grant random.
func Random(b []byte) { hostRandom(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))) }

// TimeNS returns nanoseconds since 1970: when the router received the message,
// or the clock with the grant clock.
func TimeNS() int64 { return hostTimeNS() }

// ReadBody copies body bytes from off, those too that the frame left out, and
// returns how many; 0 at the end.
func ReadBody(off int, b []byte) int {
	return int(hostBodyRead(uint32(off), unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))))
}

// DefineMetric returns a metric's id, or -1. It may be called in [OnInit] only,
// and like the other metric functions needs the grant metrics: a module that
// calls one is refused without it.
func DefineMetric(kind MetricKind, name string) int32 {
	return hostMetricDef(int32(kind), unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)))
}

// AddMetric adds to a counter or a gauge.
func AddMetric(id int32, v int64) { hostMetricAdd(id, v) }

// ObserveMetric adds an observation to a histogram, or sets a gauge.
func ObserveMetric(id int32, v float64) { hostMetricObs(id, v) }
