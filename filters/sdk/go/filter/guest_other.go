//go:build !wasip1

package filter

// frameAt has no guest memory to look into; tests use handleFrame.
func frameAt(_, n uint32) []byte { return buffer(n)[:n] }

// LogEnabled reports whether a line of that level would be written.
func LogEnabled(int32) bool { return false }

// Log writes one line, of which 1 KiB is kept, to the router's log.
func Log(int32, string) {}

// Random fills b: with bytes that depend only on the message, unless the
// filter has the grant random.
func Random(b []byte) {
	for i := range b {
		b[i] = byte(i + 1)
	}
}

// TimeNS returns nanoseconds since 1970: when the router received the message,
// or the clock with the grant clock.
func TimeNS() int64 { return 0 }

// ReadBody copies body bytes from off, those too that the frame left out, and
// returns how many; 0 at the end.
func ReadBody(off int, b []byte) int {
	body := message.Body()
	return copy(b, body[min(off, len(body)):])
}

// DefineMetric returns a metric's id, or -1. It may be called in [OnInit] only,
// and like the other metric functions needs the grant metrics: a module that
// calls one is refused without it.
func DefineMetric(MetricKind, string) int32 { return -1 }

// AddMetric adds to a counter or a gauge.
func AddMetric(int32, int64) {}

// ObserveMetric adds an observation to a histogram, or sets a gauge.
func ObserveMetric(int32, float64) {}
