package wasmhost

import (
	"sync/atomic"
	"time"

	"github.com/wasmrouter/router/router"
)

// Stat is a filter at one moment.
type Stat struct {
	Name   string
	Stages []StageStat // of the stages in use

	Live      int    // instances that lanes hold
	Idle      int    // spare instances
	Created   uint64 // instances ever made
	Discarded uint64 // of those, thrown away after a failure
	Recycled  uint64 // of those, replaced because of size or age

	MemoryBytes int64  // linear memory of live instances, as last looked at
	LogsDropped uint64 // log lines over a limit
	Metrics     []MetricStat
}

// StageStat is one stage of a filter at one moment.
type StageStat struct {
	Stage    router.Stage
	Calls    uint64
	Failures map[string]uint64 // by class of [router.FilterError], zeros left out
	Duration router.HistogramStat
}

// laneStat counts for one lane. Lanes count apart, so that they do not take
// each other's cache lines.
type laneStat struct {
	stages [router.NumStages]struct {
		failures [len(classes)]atomic.Uint64
		duration router.Histogram
	}
}

func (s *laneStat) fail(stage router.Stage, class string) {
	s.stages[stage].failures[classIndex(class)].Add(1)
}

// laneTotals is the sum of lanes.
type laneTotals struct {
	stages [router.NumStages]struct {
		failures [len(classes)]uint64
		duration router.HistogramStat
	}
}

func (t *laneTotals) add(s *laneStat) {
	for i := range s.stages {
		from, to := &s.stages[i], &t.stages[i]
		for c := range from.failures {
			to.failures[c] += from.failures[c].Load()
		}
		h := from.duration.Stat()
		for b := range h.Counts {
			to.duration.Counts[b] += h.Counts[b]
		}
		to.duration.Count += h.Count
		to.duration.Sum += h.Sum
	}
}

// Stat returns the filter's counters.
func (f *Filter) Stat() Stat {
	s := Stat{
		Name:        f.name,
		Idle:        len(f.spares),
		Created:     f.created.Load(),
		Discarded:   f.discarded.Load(),
		Recycled:    f.recycled.Load(),
		LogsDropped: f.logs.dropped.Load(),
		Metrics:     f.metrics.stat(),
	}
	f.mu.Lock()
	totals := f.retired
	for in := range f.lanes {
		totals.add(&in.stat)
		if m := in.memory.Load(); m > 0 {
			s.MemoryBytes += m
			s.Live++
		}
	}
	f.mu.Unlock()
	for i := range totals.stages {
		if !f.stages.Has(router.Stage(i)) {
			continue
		}
		t := &totals.stages[i]
		st := StageStat{Stage: router.Stage(i), Calls: t.duration.Count, Duration: t.duration, Failures: map[string]uint64{}}
		for c, n := range t.failures {
			if n > 0 {
				st.Failures[classes[c]] = n
			}
		}
		s.Stages = append(s.Stages, st)
	}
	return s
}

// Mean returns the mean duration of a stage's calls.
func (s StageStat) Mean() time.Duration {
	if s.Duration.Count == 0 {
		return 0
	}
	return s.Duration.Sum / time.Duration(s.Duration.Count)
}
