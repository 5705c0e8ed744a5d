package workbench

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
)

// identity is built from identity.wat, which says what it is.
//
//go:embed identity.wasm
var identity []byte

// BenchOptions say what Bench measures.
type BenchOptions struct {
	Messages RunOptions    // Files, Stdin, Raw and Stages; without files those of the cases
	Time     time.Duration // of measuring one message, both sides together; 0 is 200 ms
	Progress func(done float64, what string)
}

// rounds is how often the two sides take turns; the median round counts.
const rounds = 9

// BenchRow is one message and what a pass of it through the stages costs.
type BenchRow struct {
	Name   string   `json:"name"`
	Stages []string `json:"stages"`

	NS       float64 `json:"ns"`          // of the filter
	Identity float64 `json:"identity_ns"` // of a filter that changes nothing
	Ratio    float64 `json:"ratio"`
	Fuel     int64   `json:"fuel"`
	Allocs   float64 `json:"allocs"`          // of the host
	Error    string  `json:"error,omitempty"` // why nothing was measured
}

// BenchReport is what a filter costs.
type BenchReport struct {
	Filter         string     `json:"filter"`
	Rows           []BenchRow `json:"rows"`
	Ratio          float64    `json:"ratio"`           // geometric mean over the rows
	Memory         int64      `json:"memory"`          // bytes of linear memory of an instance afterwards, the most of all
	IdentityMemory int64      `json:"identity_memory"` // of the filter that changes nothing
}

// job is one message to measure, with the configuration it is meant for.
type job struct {
	name    string
	config  map[string]any // nil is the subject's own
	message Message
	stages  []router.Stage
}

// Bench measures what passes through a filter cost, against a filter that is
// given the whole message and changes nothing, in the same run and in turn.
func (w *Workbench) Bench(ctx context.Context, s *Subject, o BenchOptions) (_ *BenchReport, err error) {
	if o.Time <= 0 {
		o.Time = 200 * time.Millisecond
	}
	if o.Progress == nil {
		o.Progress = func(float64, string) {}
	}
	jobs, err := benchJobs(ctx, s, o.Messages)
	if err != nil {
		return nil, err
	}
	base, err := w.load(ctx, &Subject{Name: "identity", File: "identity", Module: identity, Filter: config.Default().Filter}, nil, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, base.close(ctx)) }()
	r := &BenchReport{Filter: s.Name, Rows: []BenchRow{}}
	logs, failed := 0.0, errors.New("nothing was measured")
	measured := 0
	for i := range jobs {
		o.Progress(float64(i)/float64(len(jobs)), jobs[i].name)
		row, err := w.benchOne(ctx, s, base, &jobs[i], o.Time, r)
		if err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, row)
		if row.Error != "" {
			failed = fmt.Errorf("%s: nothing could be measured: %s: %s", s.File, row.Name, row.Error)
			continue
		}
		logs += math.Log(row.Ratio)
		measured++
	}
	if measured == 0 {
		return nil, failed
	}
	r.Ratio = digits(math.Exp(logs/float64(measured)), 3)
	r.IdentityMemory = base.filter.Stat().MemoryBytes
	return r, nil
}

// benchOne measures one message with a filter of its own, which keeps nothing
// from the others.
func (w *Workbench) benchOne(ctx context.Context, s *Subject, base *loaded, j *job, budget time.Duration, r *BenchReport) (row BenchRow, err error) {
	row = BenchRow{Name: j.name}
	for _, stage := range j.stages {
		row.Stages = append(row.Stages, stage.String())
	}
	l, err := w.load(ctx, s, j.config, true)
	if err != nil {
		row.Error = s.refused(err).Error()
		return row, nil
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	out, err := try(ctx, l.instance, j.stages, &j.message)
	switch {
	case err != nil:
		return row, err
	case out.Err != nil:
		row.Error = fmt.Sprintf("fails in %s: %s: %s", out.Err.Stage, out.Err.Class, oneLine(out.Err.Err))
		return row, nil
	}
	for _, c := range out.Calls {
		row.Fuel += c.Fuel
	}
	ours, theirs := newSide(l.instance, j), newSide(base.instance, j)
	slice := budget / (2 * rounds)
	for range rounds {
		for _, side := range []*side{theirs, ours} {
			if ctx.Err() != nil {
				return row, context.Cause(ctx)
			}
			if err := side.round(ctx, slice); err != nil {
				row.Error = oneLine(err)
				return row, nil
			}
		}
	}
	row.NS, row.Identity, row.Allocs = median(ours.ns), median(theirs.ns), slices.Min(ours.allocs)
	row.Ratio = row.NS / row.Identity
	r.Memory = max(r.Memory, l.filter.Stat().MemoryBytes)
	return row, nil
}

// side is one of the two filters that are measured in turn.
type side struct {
	filter     router.Filter
	stages     []router.Stage
	template   router.Envelope
	targets    []router.Target
	n          int // passes of a round
	ns, allocs []float64
}

func newSide(f router.Filter, j *job) *side {
	env, _ := j.message.Envelope() // it was read before
	targets, _ := j.message.targets()
	return &side{filter: f, stages: j.stages, template: env, targets: targets, n: 1}
}

// round measures passes for about a slice of time.
func (s *side) round(ctx context.Context, slice time.Duration) error {
	for {
		took, mallocs, err := s.passes(ctx)
		if err != nil {
			return err
		}
		if took < slice/2 && s.n < 1<<24 { // too few to tell
			s.n = max(2*s.n, int(float64(s.n)*float64(slice)/float64(took+1)))
			continue
		}
		s.ns = append(s.ns, float64(took)/float64(s.n))
		s.allocs = append(s.allocs, float64(mallocs)/float64(s.n))
		return nil
	}
}

func (s *side) passes(ctx context.Context) (time.Duration, uint64, error) {
	var before, after runtime.MemStats
	var d router.Decision
	d.Targets = make([]router.Target, 0, 16)
	runtime.ReadMemStats(&before)
	start := time.Now()
	for range s.n {
		env := s.template.Clone()
		d.Reset()
		d.Targets = append(d.Targets, s.targets...)
		for _, stage := range s.stages {
			if err := s.filter.Run(ctx, stage, &env, &d); err != nil {
				return 0, 0, err
			}
			if final(d.Action) {
				break
			}
		}
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	// What reading the counters allocates is not the filter's.
	return took, max(after.Mallocs-before.Mallocs, 1) - 1, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// benchJobs finds the messages: those that are given, those of the cases, or
// one of ours.
func benchJobs(ctx context.Context, s *Subject, o RunOptions) ([]job, error) {
	stages := o.Stages
	if len(stages) == 0 {
		info, err := s.info()
		if err != nil {
			return nil, err
		}
		stages = stagesOf(info.Stages)
	}
	var jobs []job
	if len(o.Files) > 0 {
		err := each(ctx, o, func(m *Message) error {
			jobs = append(jobs, job{name: fmt.Sprintf("message %d", len(jobs)+1), message: *m, stages: stages})
			return nil
		})
		if err == nil && len(jobs) == 0 {
			err = ErrNoMessages
		}
		return jobs, err
	}
	files, err := casesOf(s)
	if err != nil {
		return []job{{name: "1 KiB of JSON", message: sample(), stages: stages}}, nil
	}
	for _, file := range files {
		c, err := ReadCase(file)
		if err != nil {
			return nil, err
		}
		for i := range c.Steps {
			if strings.HasPrefix(c.Steps[i].Want, "refused: ") {
				continue // a case of its configuration
			}
			name := c.Name
			if len(c.Steps) > 1 {
				name = fmt.Sprintf("%s, step %d", name, i+1)
			}
			jobs = append(jobs, job{name, c.Config, c.Steps[i].Message, c.Steps[i].Stages})
		}
	}
	return jobs, nil
}

// sample is a message such as filters get: 12 headers and about 1 KiB of JSON
// with the field "type" behind three quarters of it.
func sample() Message {
	body := `{"id":"` + strings.Repeat("7", 40) + `","lines":[` + strings.Repeat(`{"sku":"abcdefgh","count":3,"price":12.5},`, 17) +
		`{}],"type":"created","note":"` + strings.Repeat("n", 200) + `"}`
	m := Message{
		Headers: map[string]any{}, Properties: map[string]any{"content_type": "application/json", "message_id": "sample"},
		RoutingKey: "orders", Queue: "orders", body: []byte(body),
	}
	for i := range 12 {
		m.Headers[fmt.Sprintf("header-%d", i)] = "value"
	}
	return m
}

// WriteText writes the report for people.
func (r *BenchReport) WriteText(w io.Writer) error {
	width := len("message")
	label := func(row BenchRow) string { return row.Name + " (" + strings.Join(row.Stages, " ") + ")" }
	for _, row := range r.Rows {
		width = max(width, len(label(row)))
	}
	if _, err := fmt.Fprintf(w, "%-*s  %10s  %10s  %6s  %10s  %s\n", width, "message", "a pass", "identity", "ratio", "fuel", "host allocations"); err != nil {
		return err
	}
	for _, row := range r.Rows {
		text := row.Error
		if text == "" {
			text = fmt.Sprintf("%10s  %10s  %6.2f  %10d  %16.1f", rounded(time.Duration(row.NS)), rounded(time.Duration(row.Identity)), row.Ratio, row.Fuel, row.Allocs)
		}
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, label(row), text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s: %.2f times the filter that changes nothing (geometric mean), %s of memory (it: %s)\n",
		r.Filter, r.Ratio, config.Size(r.Memory), config.Size(r.IdentityMemory))
	return err
}

// MarshalJSON rounds what is not known to more digits.
func (r BenchRow) MarshalJSON() ([]byte, error) {
	type plain BenchRow
	r.NS, r.Identity, r.Ratio, r.Allocs = digits(r.NS, 1), digits(r.Identity, 1), digits(r.Ratio, 3), digits(r.Allocs, 2)
	return json.Marshal(plain(r))
}

func digits(v float64, n int) float64 {
	p := math.Pow10(n)
	return math.Round(v*p) / p
}
