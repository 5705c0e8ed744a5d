// Package calls measures calls and casts: the Go packages transport and rpc, a
// bare amqp091-go request and reply, and Python's oslo.messaging, each as a
// client and a server in processes of their own, and the Go ones with a router
// between them; in turn on one broker.
package calls

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// Options say what to measure.
type Options struct {
	URL     string // of a broker; empty starts a private RabbitMQ
	Calls   int    // in each run; Python makes a quarter of them
	Callers []int  // how many call at once
	Rounds  int    // runs of each side
	Bytes   int    // of the value that is sent and comes back
	Python  string // interpreter that has oslo.messaging; empty leaves it out

	// Progress, if set, is told how far the whole benchmark is, 0 to 1.
	Progress func(done float64, what string)
}

// Report is what a benchmark measured.
type Report struct {
	Go      string   `json:"go"`
	Python  string   `json:"python"` // release of oslo.messaging, or why it is not there
	CPUs    int      `json:"cpus"`
	Calls   int      `json:"calls"`
	Rounds  int      `json:"rounds"`
	Bytes   int      `json:"bytes"`
	Results []Result `json:"results"`
}

// Result is one side with so many callers: medians over the rounds.
type Result struct {
	Side    string `json:"side"`
	Callers int    `json:"callers"`
	Call    Figure `json:"call"`
	Cast    Figure `json:"cast"`

	// Connections of the processes to the broker afterwards; 0 is unknown.
	ClientConnections int `json:"client_connections"`
	ServerConnections int `json:"server_connections"`
}

// Figure is of calls or casts.
type Figure struct {
	P50Micros    float64 `json:"p50_us"`
	P99Micros    float64 `json:"p99_us"`
	PerSecond    float64 `json:"per_second"`
	ClientMicros float64 `json:"client_cpu_us"` // user and system, for each
	ServerMicros float64 `json:"server_cpu_us"`
	RouterMicros float64 `json:"router_cpu_us,omitempty"`
	Failed       int     `json:"failed"`        // of all rounds
	Why          string  `json:"why,omitempty"` // the first of them failed
}

// CPUMicros is the processor time of all processes for each call or cast.
func (f Figure) CPUMicros() float64 { return f.ClientMicros + f.ServerMicros + f.RouterMicros }

// The sides.
const (
	SideBare   = "bare amqp091-go"
	SideGo     = "Go"
	SideProxy  = "Go, router between"
	SidePython = "Python"
)

// requestContext is a context as OpenStack's services send it.
const requestContext = `{"user_id": "6a8f4a7d9cbb4b3f9d1a0c7a6c0b9a11", "project_id": "0f2b6b6c1c3f4c47a3b1a2c5d6e7f801", "is_admin": false,
	"roles": ["member", "reader"], "request_id": "req-1d5b5e3c-4f3e-4a3f-9a39-0a4f2f7c9b11", "domain_id": null, "read_only": false}`

// side is a client and a server at work.
type side struct {
	name           string
	part           int // it makes one in so many of the calls
	client, server *peer
	router         *peer // nil if there is none
	casts          int   // that were sent
}

// stop ends the side's processes.
func (s *side) stop() (err error) {
	for _, p := range []*peer{s.client, s.router, s.server} {
		if p != nil {
			err = errors.Join(err, p.stop())
		}
	}
	return err
}

// Measure runs the benchmark.
func Measure(ctx context.Context, opts Options) (*Report, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.Progress == nil {
		opts.Progress = func(float64, string) {}
	}
	if opts.URL == "" {
		if err := rabbitnode.Find(); err != nil {
			return nil, fmt.Errorf("%w; or name a broker with --url amqp://HOST/", err)
		}
		opts.Progress(0, "starting RabbitMQ")
		node, err := rabbitnode.Start(ctx, rabbitnode.Config{})
		if err != nil {
			return nil, err
		}
		defer node.Stop()
		opts.URL = node.URL()
	}
	m := &measurement{opts: opts, report: &Report{
		Go: runtime.Version(), Python: "left out", CPUs: runtime.NumCPU(), Calls: opts.Calls, Rounds: opts.Rounds, Bytes: opts.Bytes,
	}}
	err := m.start(ctx)
	if err == nil {
		err = m.measure()
	}
	for _, s := range m.sides {
		err = errors.Join(err, s.stop())
	}
	return m.report, err
}

// Validate reports the first option that cannot be measured with.
func (o *Options) Validate() error {
	switch {
	case o.Calls < 10:
		return fmt.Errorf("%d calls are too few to measure; take 10 or more", o.Calls)
	case o.Rounds < 1:
		return errors.New("it takes at least one round")
	case len(o.Callers) == 0:
		return errors.New("no number of callers is given")
	case o.Bytes < 0:
		return errors.New("a value cannot have fewer than 0 bytes")
	}
	for _, n := range o.Callers {
		if n < 1 || n > 10_000 {
			return fmt.Errorf("%d callers at once: take 1 to 10,000", n)
		}
	}
	return nil
}

// measurement is a benchmark under way.
type measurement struct {
	opts   Options
	report *Report
	sides  []*side
}

// start starts all peers.
func (m *measurement) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	id := uuid.NewString()[:8]
	begin := func(name string, part int, argv func(role string) []string, prefix string) error {
		s := &side{name: name, part: part}
		m.sides = append(m.sides, s) // so that what has started is stopped
		m.opts.Progress(0, "starting "+name)
		topic := fmt.Sprintf("bench-%s-%d", id, len(m.sides))
		start := func(role, topic string) (*peer, error) {
			url := m.opts.URL
			if name == SidePython {
				url = strings.Replace(url, "amqp", "rabbit", 1)
			}
			args := append(argv(prefix+role), url, "bench-"+id, topic, strings.Repeat("v", m.opts.Bytes), requestContext)
			return start(ctx, name+" "+role, args)
		}
		served := topic
		if name == SideProxy {
			served += ".out"
		}
		var err error
		if s.server, err = start("server", served); err != nil {
			return err
		}
		if name == SideProxy {
			if s.router, err = start("router", topic); err != nil {
				return err
			}
		}
		s.client, err = start("client", topic)
		return err
	}
	ours := func(role string) []string { return []string{self, verb, role} }
	err = begin(SideBare, 1, ours, "bare-")
	if err == nil {
		err = begin(SideGo, 1, ours, "")
	}
	if err == nil {
		err = begin(SideProxy, 1, ours, "")
	}
	if err != nil {
		return err
	}
	if m.opts.Python == "" {
		return nil
	}
	release, err := exec.CommandContext(ctx, m.opts.Python, "-c",
		"import oslo_messaging, pbr.version; print(pbr.version.VersionInfo('oslo.messaging').release_string())").Output()
	if err != nil {
		m.report.Python = "left out: " + m.opts.Python + " cannot import oslo_messaging"
		return nil
	}
	m.report.Python = strings.TrimSpace(string(release))
	dir, err := os.MkdirTemp("", "router-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // Python has read it by then
	file := filepath.Join(dir, "calls.py")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return err
	}
	return begin(SidePython, 4, func(role string) []string { return []string{m.opts.Python, file, role} }, "")
}

// measure lets the sides take turns.
func (m *measurement) measure() error {
	steps, step := len(m.opts.Callers)*m.opts.Rounds*len(m.sides), 0
	for _, callers := range m.opts.Callers {
		type runs struct{ call, cast []Figure }
		all := make([]runs, len(m.sides))
		for round := range m.opts.Rounds + 1 {
			for i, s := range m.sides {
				n := max(m.opts.Calls/s.part, callers)
				if round == 0 { // opens connections and warms up
					n = 2*callers + 20
				} else {
					m.opts.Progress(float64(step)/float64(steps), fmt.Sprintf("%d callers, %s", callers, s.name))
					step++
				}
				call, err := s.run("echo", n, callers)
				if err != nil {
					return err
				}
				cast, err := s.run("tag", n, callers)
				if err != nil {
					return err
				}
				if round > 0 {
					all[i].call, all[i].cast = append(all[i].call, call), append(all[i].cast, cast)
				}
			}
		}
		for i, s := range m.sides {
			m.report.Results = append(m.report.Results, Result{
				Side: s.name, Callers: callers, Call: middle(all[i].call), Cast: middle(all[i].cast),
				ClientConnections: connections(s.client.cmd.Process.Pid, m.opts.URL),
				ServerConnections: connections(s.server.cmd.Process.Pid, m.opts.URL),
			})
		}
	}
	m.opts.Progress(1, "done")
	return nil
}

// cpu returns the processor time so far of the server and the router.
func (s *side) cpu() (server, router int64, err error) {
	said, err := s.server.do(command{Do: "cpu"})
	if err != nil || s.router == nil {
		return said.CPUMicros, 0, err
	}
	server = said.CPUMicros
	said, err = s.router.do(command{Do: "cpu"})
	return server, said.CPUMicros, err
}

// run makes n calls or casts and waits until the server is done with them.
func (s *side) run(do string, n, callers int) (Figure, error) {
	server, router, err := s.cpu()
	if err != nil {
		return Figure{}, err
	}
	r, err := s.client.do(command{Do: do, N: n, Callers: callers})
	if err != nil {
		return Figure{}, err
	}
	if do == "tag" {
		s.casts += n - r.Failed
		if err := s.arrived(); err != nil {
			return Figure{}, err
		}
	}
	serverAfter, routerAfter, err := s.cpu()
	if err != nil {
		return Figure{}, err
	}
	slices.Sort(r.Took)
	f := Figure{Failed: r.Failed, Why: r.Why}
	if len(r.Took) > 0 && r.Nanoseconds > 0 {
		f.P50Micros = float64(r.Took[len(r.Took)/2]) / 1e3
		f.P99Micros = float64(r.Took[len(r.Took)*99/100]) / 1e3
		f.PerSecond = float64(n-r.Failed) / time.Duration(r.Nanoseconds).Seconds()
		f.ClientMicros = float64(r.CPUMicros) / float64(n)
		f.ServerMicros = float64(serverAfter-server) / float64(n)
		f.RouterMicros = float64(routerAfter-router) / float64(n)
	}
	return f, nil
}

// arrived returns when the server has all casts.
func (s *side) arrived() error {
	for deadline := time.Now().Add(time.Minute); ; {
		got, err := s.server.do(command{Do: "seen"})
		if err != nil || got.Seen >= s.casts {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("of %d casts %d have arrived at the %s after a minute", s.casts, got.Seen, s.server.name)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// middle returns the median of each figure, and the sum of what failed.
func middle(runs []Figure) (f Figure) {
	median := func(of func(*Figure) *float64) {
		values := make([]float64, len(runs))
		for i := range runs {
			values[i] = *of(&runs[i])
		}
		slices.Sort(values)
		n := len(values)
		*of(&f) = (values[(n-1)/2] + values[n/2]) / 2
	}
	median(func(f *Figure) *float64 { return &f.P50Micros })
	median(func(f *Figure) *float64 { return &f.P99Micros })
	median(func(f *Figure) *float64 { return &f.PerSecond })
	median(func(f *Figure) *float64 { return &f.ClientMicros })
	median(func(f *Figure) *float64 { return &f.ServerMicros })
	median(func(f *Figure) *float64 { return &f.RouterMicros })
	for _, r := range runs {
		f.Failed += r.Failed
		f.Why = cmp.Or(f.Why, r.Why)
	}
	return f
}

// result returns what a side came to with so many callers, nil if it was left
// out.
func (r *Report) result(side string, callers int) *Result {
	for i := range r.Results {
		if r.Results[i].Side == side && r.Results[i].Callers == callers {
			return &r.Results[i]
		}
	}
	return nil
}
