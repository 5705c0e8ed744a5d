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

	Live      int               // instances that lanes hold
	Idle      int               // spare instances
	Created   uint64            // instances ever made
	Restarts  uint64            // of those, given to a lane that had lost one
	Discarded map[string]uint64 // of those, lost to a failure, by class; zeros left out
	Recycled  map[string]uint64 // of those, replaced for their "memory" or their number of "calls"
	Unstarted map[string]uint64 // instances that could not be started, by class
	Failing   *Failing          // nil unless the filter keeps failing

	MemoryBytes int64  // linear memory of live instances, as last looked at
	LogsDropped uint64 // log lines over a limit
	Metrics     []MetricStat
	KV          *KVStat // nil without the grant kv
}

// StageStat is one stage of a filter at one moment.
type StageStat struct {
	Stage    router.Stage
	Calls    uint64
	Failures map[string]uint64 // by class of [router.FilterError], zeros left out

	// Duration is extrapolated from a sample for lanes with many calls; its
	// Count may differ from Calls by a few.
	Duration router.HistogramStat
	Fuel     FuelStat
}

// FuelStat is what the timed calls of a stage have burned, in the units of
// [Limits].Fuel.
type FuelStat struct {
	Calls uint64 // those that were timed
	Sum   uint64 // of all of them
	Most  uint64 // of one
}

func (s *FuelStat) add(o FuelStat) {
	s.Calls += o.Calls
	s.Sum += o.Sum
	s.Most = max(s.Most, o.Most)
}

// Reading the clock twice costs as much as a short filter does. The first
// calls of a lane are all timed, of the later ones each eighth, and that one
// counts for eight.
const (
	timedCalls  = 1024
	sampleEvery = 8
)

// laneStat counts for one lane. Lanes count apart, so that they do not take
// each other's cache lines.
type laneStat struct {
	stages [router.NumStages]stageCounters
}

type stageCounters struct {
	calls    atomic.Uint64
	failures [len(classes)]atomic.Uint64
	timed    router.Histogram // of the first calls
	sampled  router.Histogram // of the later ones

	burns, fuel, most atomic.Uint64 // a FuelStat; only the lane adds to it
}

// timing is one call that is timed, or not.
type timing struct {
	of    *stageCounters
	hist  *router.Histogram
	start time.Duration
}

func (s *laneStat) begin(stage router.Stage) timing {
	c := &s.stages[stage]
	n := c.calls.Add(1)
	switch {
	case n <= timedCalls:
		return timing{c, &c.timed, monotonic()}
	case n%sampleEvery == 0:
		return timing{c, &c.sampled, monotonic()}
	}
	return timing{}
}

// observe ends a call that has used up what its budget says.
func (t timing) observe(b *budget) {
	if t.hist == nil {
		return
	}
	t.hist.Observe(monotonic() - t.start)
	burned := uint64(max(0, b.used()))
	t.of.burns.Add(1)
	t.of.fuel.Add(burned)
	t.of.most.Store(max(t.of.most.Load(), burned))
}

func (s *laneStat) fail(stage router.Stage, class string) {
	s.stages[stage].failures[classIndex(class)].Add(1)
}

// laneTotals is the sum of lanes.
type laneTotals struct {
	stages [router.NumStages]struct {
		calls    uint64
		failures [len(classes)]uint64
		duration router.HistogramStat
		fuel     FuelStat
	}
}

func (t *laneTotals) add(s *laneStat) {
	for i := range s.stages {
		from, to := &s.stages[i], &t.stages[i]
		to.calls += from.calls.Load()
		for c := range from.failures {
			to.failures[c] += from.failures[c].Load()
		}
		addHistogram(&to.duration, from.timed.Stat(), 1)
		addHistogram(&to.duration, from.sampled.Stat(), sampleEvery)
		to.fuel.add(FuelStat{from.burns.Load(), from.fuel.Load(), from.most.Load()})
	}
}

func addHistogram(to *router.HistogramStat, h router.HistogramStat, weight uint64) {
	for b := range h.Counts {
		to.Counts[b] += weight * h.Counts[b]
	}
	to.Count += weight * h.Count
	to.Sum += time.Duration(weight) * h.Sum
}

// Stat returns the filter's counters.
func (f *Filter) Stat() Stat {
	s := Stat{
		Name:        f.name,
		Idle:        len(f.supply.spares),
		Created:     f.supply.created.Load(),
		Restarts:    f.restarts.Load(),
		Discarded:   byName(classes[:], f.discarded[:]),
		Recycled:    byName(recycleCauses[:], f.recycled[:]),
		Unstarted:   byName(classes[:], f.supply.unstarted[:]),
		Failing:     f.supply.gate.stat(),
		LogsDropped: f.logs.dropped.Load(),
		Metrics:     f.metrics.stat(),
		KV:          f.kv.stat(),
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
		st := StageStat{Stage: router.Stage(i), Calls: t.calls, Duration: t.duration, Fuel: t.fuel, Failures: map[string]uint64{}}
		for c, n := range t.failures {
			if n > 0 {
				st.Failures[classes[c]] = n
			}
		}
		s.Stages = append(s.Stages, st)
	}
	return s
}

// byName leaves out what is 0.
func byName(names []string, counts []atomic.Uint64) map[string]uint64 {
	m := make(map[string]uint64)
	for i := range counts {
		if n := counts[i].Load(); n > 0 {
			m[names[i]] = n
		}
	}
	return m
}
