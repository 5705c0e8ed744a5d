package router

import (
	"sync/atomic"
	"time"
)

// HistogramBounds are the upper bounds of a [Histogram]'s buckets, inclusive.
var HistogramBounds = [...]time.Duration{
	time.Microsecond, 2500 * time.Nanosecond, 5 * time.Microsecond,
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Histogram counts durations in fixed buckets. The zero value is ready; it is
// safe for concurrent use and must not be copied.
type Histogram struct {
	buckets [len(HistogramBounds) + 1]atomic.Uint64
	sum     atomic.Int64
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	lo, hi := 0, len(HistogramBounds)
	for lo < hi {
		mid := (lo + hi) / 2
		if d <= HistogramBounds[mid] {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	h.buckets[lo].Add(1)
	h.sum.Add(int64(d))
}

// HistogramStat is a histogram at one moment.
type HistogramStat struct {
	Counts [len(HistogramBounds) + 1]uint64 // not cumulative; the last is above every bound
	Count  uint64
	Sum    time.Duration
}

// Stat returns the counts so far. Observations made meanwhile may be in some
// of them and not in others.
func (h *Histogram) Stat() HistogramStat {
	var s HistogramStat
	for i := range h.buckets {
		s.Counts[i] = h.buckets[i].Load()
		s.Count += s.Counts[i]
	}
	s.Sum = time.Duration(h.sum.Load())
	return s
}
