// Package bench measures the router against the bare client library: the same
// messages through the same broker, in turn, in one process, so that the
// machine's mood hits both.
package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"text/template"
	"time"

	_ "embed"

	"github.com/google/uuid"

	"github.com/wasmrouter/router/amqp/bareloop"
	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// Options say what to measure.
type Options struct {
	URL      string // of a broker; empty starts a private RabbitMQ
	Messages int    // in each run
	Sizes    []int  // bytes of body
	Rounds   int    // runs of each side
	Prefetch int
	Quorum   bool // queue type
	Filter   bool // decide the target in a filter; else the route names it

	// Progress, if set, is told how far the whole benchmark is, 0 to 1.
	Progress func(done float64, what string)
}

// Report is what a benchmark measured.
type Report struct {
	Go       string   `json:"go"`
	CPUs     int      `json:"cpus"`
	Messages int      `json:"messages"`
	Rounds   int      `json:"rounds"`
	Prefetch int      `json:"prefetch"`
	Queue    string   `json:"queue"`
	Filter   string   `json:"filter"`
	Results  []Result `json:"results"`
}

// Result is both sides for one size.
type Result struct {
	Size            int     `json:"size"`
	Bare            Side    `json:"bare"`
	Router          Side    `json:"router"`
	ThroughputRatio float64 `json:"throughput_ratio"` // router / bare
	CPURatio        float64 `json:"cpu_ratio"`        // router / bare
}

// Side is one forwarder: medians over the rounds, sums of what went wrong.
type Side struct {
	PerSecond  float64 `json:"messages_per_second"`
	CPUMicros  float64 `json:"cpu_us_per_message"` // user and system, this process
	Lost       int     `json:"lost"`
	Duplicates int     `json:"duplicates"`
	OutOfOrder int     `json:"out_of_order"`
	Runs       []Run   `json:"runs"`
}

// Run is one measured run.
type Run struct {
	PerSecond float64 `json:"messages_per_second"`
	CPUMicros float64 `json:"cpu_us_per_message"`
}

//go:embed config.toml
var configText string

var configTemplate = template.Must(template.New("config").Parse(configText))

// bench is one benchmark under way.
type bench struct {
	opts     Options
	url      string
	dir      string
	from, to string
	steps    int // runs in all
	step     int
}

// Measure runs the benchmark. Queues of its own are deleted afterwards.
func Measure(ctx context.Context, opts Options) (*Report, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	b := &bench{opts: opts, url: opts.URL, steps: 2 * opts.Rounds * len(opts.Sizes)}
	if b.opts.Progress == nil {
		b.opts.Progress = func(float64, string) {}
	}
	if b.url == "" {
		if err := rabbitnode.Find(); err != nil {
			return nil, fmt.Errorf("%w; or name a broker with --url amqp://HOST/", err)
		}
		b.opts.Progress(0, "starting RabbitMQ")
		node, err := rabbitnode.Start(ctx, rabbitnode.Config{})
		if err != nil {
			return nil, err
		}
		defer node.Stop()
		b.url = node.URL()
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "router-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.dir)
	id := uuid.NewString()[:8]
	b.from, b.to = "bench-"+id+".in", "bench-"+id+".out"
	report, err := b.measure(ctx)
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return report, errors.Join(err, bareloop.Delete(clean, b.url, b.from, b.to, b.from+".dead"))
}

// Validate reports the first option that cannot be measured with.
func (o *Options) Validate() error {
	switch {
	case o.Messages < 100:
		return fmt.Errorf("%d messages are too few to measure; take 100 or more", o.Messages)
	case o.Rounds < 1:
		return errors.New("it takes at least one round")
	case o.Prefetch < 1 || o.Prefetch > 65535:
		return fmt.Errorf("prefetch is %d; AMQP allows 1 to 65535", o.Prefetch)
	case len(o.Sizes) == 0:
		return errors.New("no size is given")
	}
	for _, n := range o.Sizes {
		if n < minSize || n > 1<<20 {
			return fmt.Errorf("size %d: a body is %d bytes to 1 MiB", n, minSize)
		}
	}
	return nil
}

func (b *bench) measure(ctx context.Context) (*Report, error) {
	r := &Report{
		Go: runtime.Version(), CPUs: runtime.NumCPU(), Messages: b.opts.Messages, Rounds: b.opts.Rounds,
		Prefetch: b.opts.Prefetch, Queue: b.kind(), Filter: "none",
	}
	if b.opts.Filter {
		r.Filter = "stock:content-router on body:type"
	}
	for _, size := range b.opts.Sizes {
		result := Result{Size: size}
		for round := range b.opts.Rounds {
			sides := []func(context.Context, int) error{
				func(ctx context.Context, size int) error { return b.side(ctx, "bare loop", size, &result.Bare, b.bare) },
				func(ctx context.Context, size int) error {
					return b.side(ctx, "router", size, &result.Router, b.router)
				},
			}
			if round%2 == 1 {
				slices.Reverse(sides) // neither always goes first
			}
			for _, side := range sides {
				if err := side(ctx, size); err != nil {
					return nil, err
				}
			}
		}
		result.Bare.medians()
		result.Router.medians()
		result.ThroughputRatio = result.Router.PerSecond / result.Bare.PerSecond
		result.CPURatio = result.Router.CPUMicros / result.Bare.CPUMicros
		r.Results = append(r.Results, result)
	}
	b.opts.Progress(1, "done")
	return r, nil
}

func (b *bench) kind() string {
	if b.opts.Quorum {
		return "quorum"
	}
	return "classic"
}

// side fills the queue, lets one forwarder empty it, and checks what arrived.
func (b *bench) side(ctx context.Context, name string, size int, s *Side, forward func(context.Context) (time.Duration, time.Duration, error)) error {
	what := fmt.Sprintf("%s, %d B", name, size)
	b.opts.Progress(float64(b.step)/float64(b.steps), what)
	if err := bareloop.Declare(ctx, b.url, b.kind(), b.from, b.to); err != nil {
		return err
	}
	n := b.opts.Messages
	if err := bareloop.Fill(ctx, b.url, b.from, n, bareloop.Message{Headers: headers, Make: func(i int) []byte { return body(i, size) }}); err != nil {
		return err
	}
	runtime.GC()
	b.opts.Progress((float64(b.step)+0.4)/float64(b.steps), what)
	took, cpu, err := forward(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	b.opts.Progress((float64(b.step)+0.8)/float64(b.steps), what)
	got, err := bareloop.Drain(ctx, b.url, b.to, n, number)
	if err != nil {
		return err
	}
	s.Lost += got.Lost
	s.Duplicates += got.Duplicates
	s.OutOfOrder += got.OutOfOrder
	s.Runs = append(s.Runs, Run{float64(n) / took.Seconds(), float64(cpu.Nanoseconds()) / 1e3 / float64(n)})
	b.step++
	return nil
}

func (s *Side) medians() {
	median := func(get func(Run) float64) float64 {
		var all []float64
		for _, r := range s.Runs {
			all = append(all, get(r))
		}
		slices.Sort(all)
		if n := len(all); n%2 == 0 {
			return (all[n/2-1] + all[n/2]) / 2
		}
		return all[len(all)/2]
	}
	s.PerSecond = median(func(r Run) float64 { return r.PerSecond })
	s.CPUMicros = median(func(r Run) float64 { return r.CPUMicros })
}

func (b *bench) bare(ctx context.Context) (took, cpu time.Duration, err error) {
	before, began := processCPU(), time.Now()
	_, err = bareloop.Run(ctx, bareloop.Config{URL: b.url, From: b.from, To: b.to, N: b.opts.Messages, Prefetch: b.opts.Prefetch})
	return time.Since(began), processCPU() - before, err
}

func (b *bench) router(ctx context.Context) (took, cpu time.Duration, err error) {
	var text bytes.Buffer
	err = configTemplate.Execute(&text, map[string]any{"From": b.from, "To": b.to, "Prefetch": b.opts.Prefetch, "Filter": b.opts.Filter})
	if err != nil {
		return 0, 0, err
	}
	path := filepath.Join(b.dir, "router.toml")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return 0, 0, err
	}
	// The URL is interpolated, so that a password in it is in no file.
	env := func(name string) (string, bool) { return b.url, name == "ROUTER_BENCH_URL" }
	a, err := app.New(ctx, app.Options{ConfigPath: path, LogOutput: io.Discard, Env: env})
	if err != nil {
		return 0, 0, err
	}
	runtime.GC()
	before, began := processCPU(), time.Now()
	if err = a.Start(ctx); err == nil {
		err = b.wait(ctx, a)
	}
	took, cpu = time.Since(began), processCPU()-before
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return took, cpu, errors.Join(err, a.Stop(stop))
}

// stall bounds how long a run may stand still before it counts as stuck.
const stall = 30 * time.Second

// wait returns when the router has settled every message.
func (b *bench) wait(ctx context.Context, a *app.App) error {
	last, since := uint64(0), time.Now()
	for {
		var done uint64
		for _, r := range a.Snapshot().Routes {
			for _, n := range r.Settled {
				done += n
			}
		}
		if done >= uint64(b.opts.Messages) {
			return nil
		}
		if done != last {
			last, since = done, time.Now()
		} else if time.Since(since) > stall {
			return fmt.Errorf("stuck after %d of %d messages", done, b.opts.Messages)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// headers are what every message carries: a dozen, as real ones do.
var headers = map[string]any{
	"tenant": "acme", "region": "eu-north-1", "source": "shop", "schema": "order.v3", "attempt": int32(1), "trace-flags": int32(1),
	"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "user": "4711", "channel": "web", "lang": "en", "priority": "normal", "cached": false,
}

const (
	bodyHead = `{"type":"order","seq":`
	minSize  = 64
)

// body returns a JSON document of exactly size bytes that holds its number.
func body(i, size int) []byte {
	b := make([]byte, 0, size)
	b = append(b, bodyHead...)
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, `,"pad":"`...)
	for len(b) < size-2 {
		b = append(b, 'x')
	}
	return append(b, `"}`...)
}

// number reads a body's number.
func number(body []byte) (int, bool) {
	rest, ok := bytes.CutPrefix(body, []byte(bodyHead))
	if !ok {
		return 0, false
	}
	digits, _, ok := bytes.Cut(rest, []byte(","))
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(string(digits))
	return n, err == nil
}
