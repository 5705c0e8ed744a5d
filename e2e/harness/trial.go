package harness

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// Prefetch is the window of the routes that Chain writes: at most so many messages
// are delivered again after one fault.
const Prefetch = 256

// Chain is a route through two filters, a Go guest and a C guest, whose target the
// second chooses by the body. More are further lines of the route.
func Chain(route, listen, out string, more ...string) string {
	return fmt.Sprintf(`
[filters.context]
path = "stock:context-packer"
config = { tenant = { from = ["body:tenant"], header = "tenant" }, trace = { mode = "off" } }
[filters.by_kind]
path = "stock:content-router"
config = { field = "body:order.kind", routes = { order = "queue:%[3]s", nowhere = "queue:%[3]s.nowhere" } }
[routes.%[1]s]
listen = "%[2]s"
filters = ["context", "by_kind"]
allow = ["queue:%[3]s*"]
prefetch = %[4]d
%[5]s
`, route, listen, out, Prefetch, strings.Join(more, "\n"))
}

// Seed returns the seed of a run: ROUTER_E2E_SEED, or a new one, which it logs.
func Seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64N(1 << 32)
	if text := os.Getenv("ROUTER_E2E_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("ROUTER_E2E_SEED: %v", err)
		}
	}
	t.Logf("ROUTER_E2E_SEED=%d", s)
	return s
}

// Messages returns how many messages a run moves: ROUTER_E2E_MESSAGES, or full, or at
// most 5,000 with -short.
func Messages(t *testing.T, full int) int {
	t.Helper()
	if testing.Short() {
		full = min(full, 5000)
	}
	if text := os.Getenv("ROUTER_E2E_MESSAGES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 100 {
			t.Fatalf("ROUTER_E2E_MESSAGES=%q: it is a number of at least 100", text)
		}
		full = n
	}
	return full
}

// Times returns how often a fault is to strike: a few times, or as often as the fault
// matrix asks for if ROUTER_E2E_FULL is set.
func Times(full, few int) int {
	if os.Getenv("ROUTER_E2E_FULL") != "" {
		return full
	}
	return few
}

// Trial takes a load of numbered messages through one route while things go wrong,
// and then accounts for every message. The messages are in the source queue before
// the first fault and are counted after the last, so that neither the publisher nor
// the auditor adds to what goes wrong.
//
// The order of calls is NewTrial, Begin, any number of Until and faults with Struck
// and Recovered around them, End. A trial belongs to its test's goroutine.
type Trial struct {
	T      *testing.T
	Node   *rabbitnode.Node
	Load   Load
	Audit  *Audit
	In     string // the source queue, durable
	Out    string // the target queue, durable
	Dead   string // where the route's dead letters go
	Config string // path of router.toml, once begun
	Router *Process
	Route  string     // the route from the source to the target, "trial" unless changed
	Rand   *rand.Rand // by the load's seed
	Window int        // duplicates allowed for each fault, [Prefetch] unless changed
	Letter bool       // dead letters are expected; the test judges them
	Mixed  bool       // no order is promised, so none is judged
	Broker string     // further lines of the configuration's table broker
	Stop   string     // process.drain_timeout, such as "2s"; the default if empty

	// Files are laid beside the configuration, by name.
	Files map[string][]byte

	result *Result
	begun  time.Time
	feed   *Producer // of a trial whose load comes while faults strike
}

// NewTrial declares a source and a target and fills the source with the load.
func NewTrial(t *testing.T, n *rabbitnode.Node, load Load) *Trial {
	t.Helper()
	return NewTrialIn(t, n, load, nil)
}

// NewTrialIn is [NewTrial] with arguments for the two queues, such as their type.
func NewTrialIn(t *testing.T, n *rabbitnode.Node, load Load, arguments amqp091.Table) *Trial {
	t.Helper()
	tr := newTrial(t, n, load, arguments)
	c := Dial(t, n)
	defer c.Close()
	if err := c.Fill(tr.In, load, tr.Audit); err != nil {
		t.Fatal(err)
	}
	return tr
}

// NewFedTrial is [NewTrialIn] for a load that comes so many messages a second, while
// faults strike. Publishes that the producer has to repeat are allowed as duplicates.
func NewFedTrial(t *testing.T, n *rabbitnode.Node, load Load, arguments amqp091.Table, perSec int) *Trial {
	t.Helper()
	tr := newTrial(t, n, load, arguments)
	tr.feed = Feed(t, n, tr.In, load, perSec)
	return tr
}

// newTrial declares the queues of a trial.
func newTrial(t *testing.T, n *rabbitnode.Node, load Load, arguments amqp091.Table) *Trial {
	t.Helper()
	tr := &Trial{
		T: t, Node: n, Load: load, Audit: NewAudit(load),
		In: rabbitnode.Queue(t, "in"), Out: rabbitnode.Queue(t, "out"),
		Rand: rand.New(rand.NewPCG(load.Seed, 0)), Window: Prefetch, Route: "trial",
		result: NewResult(t, load.Seed),
	}
	tr.Dead = tr.In + ".dead"
	c := Dial(t, n)
	for _, q := range []string{tr.In, tr.Out} {
		if _, err := c.Ch.QueueDeclare(q, true, false, false, false, arguments); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	return tr
}

// Hold is [Producer.Hold] of a fed trial.
func (tr *Trial) Hold(hold bool) { tr.feed.Hold(hold) }

// Fed returns how many messages a fed trial's producer has sent, and whether more come.
func (tr *Trial) Fed() (sent int, more bool) {
	if tr.feed == nil {
		return tr.Load.Count, false
	}
	return tr.feed.Sent(), !tr.feed.Done()
}

// Begin starts a router that reaches its broker at url, with [Chain] from the source
// to the target and these further lines of its route.
func (tr *Trial) Begin(url string, more ...string) {
	tr.T.Helper()
	tr.BeginWith(url, Chain(tr.Route, tr.In, tr.Out, more...))
}

// BeginWith is [Trial.Begin] with a configuration of the test's own, which has a
// route of the trial's name. Others are further trials whose loads pass through the
// same router.
func (tr *Trial) BeginWith(url, text string, others ...*Trial) {
	tr.T.Helper()
	tr.Launch(url, text, others...)
	tr.Router.AwaitReady()
}

// Launch is [Trial.BeginWith] that does not wait until the router consumes.
func (tr *Trial) Launch(url, text string, others ...*Trial) {
	tr.T.Helper()
	var process []string
	if tr.Stop != "" {
		process = append(process, fmt.Sprintf("drain_timeout = %q", tr.Stop))
	}
	tr.Config = ConfigFile(tr.T, url, tr.Broker+text, process...)
	for name, content := range tr.Files {
		if err := os.WriteFile(filepath.Join(filepath.Dir(tr.Config), name), content, 0o600); err != nil {
			tr.T.Fatal(err)
		}
	}
	tr.begun = time.Now()
	tr.Router = Launch(tr.T, tr.Config)
	for _, o := range others {
		o.Config, o.begun, o.Router = tr.Config, tr.begun, tr.Router
	}
}

// Until waits until at least so many messages of the load have left the source.
func (tr *Trial) Until(gone int) {
	tr.T.Helper()
	AwaitLen(tr.T, tr.Node, tr.In, tr.Load.Count-gone)
}

// Struck counts a fault. Call it just before the fault, while the broker answers.
func (tr *Trial) Struck(fault string) {
	tr.T.Helper()
	left, err := tr.Node.QueueLen(tr.T.Context(), tr.In)
	if err != nil {
		tr.T.Fatal(err)
	}
	if _, more := tr.Fed(); more || left > 0 {
		tr.result.InFlow++
	}
	tr.result.Faults[fault]++
	tr.result.Struck = append(tr.result.Struck, fmt.Sprintf("%d left: %s", left, fault))
}

// Recovered is called when a fault has just ended. It waits until the router has
// settled another message and notes how long that took; it notes nothing if the
// source is empty by then.
func (tr *Trial) Recovered() {
	tr.T.Helper()
	tr.flows(time.Now(), tr.settled())
}

// Restart starts the router again after it has ended, waits until it has settled a
// message, and notes how long that took from begin on.
func (tr *Trial) Restart(begin time.Time) {
	tr.T.Helper()
	tr.Router = Launch(tr.T, tr.Config)
	tr.Router.AwaitReady()
	tr.flows(begin, 0)
}

// flows waits until the router has settled more than before.
func (tr *Trial) flows(begin time.Time, before float64) {
	tr.T.Helper()
	Await(tr.T, "messages to flow again", func() (bool, string) {
		if now := tr.settled(); now > before {
			tr.result.Recoveries = append(tr.result.Recoveries, time.Since(begin).Seconds())
			return true, ""
		}
		if _, more := tr.Fed(); more {
			return false, "more messages come"
		}
		left, err := tr.Node.QueueLen(tr.T.Context(), tr.In)
		return err == nil && left == 0, fmt.Sprintf("%d messages left, %v", left, err)
	})
}

func (tr *Trial) settled() float64 { return tr.Metric("messages_settled_total") }

// Metric is [Process.Metric] of the trial's route; the name is without "router_".
func (tr *Trial) Metric(name string, labels ...string) float64 {
	tr.T.Helper()
	return tr.Router.Metric("router_"+name, append(labels, fmt.Sprintf("route=%q", tr.Route))...)
}

// End waits until the source is empty, stops the router, and judges what became of
// each message: nothing lost, changed, unexpected or out of order, and no more
// duplicates than Window for each fault.
func (tr *Trial) End() *Result {
	tr.T.Helper()
	if tr.feed != nil {
		tr.result.Repeats = tr.feed.Finish(tr.Audit)
	}
	AwaitEmpty(tr.T, tr.Node, tr.In)
	tr.result.Took = time.Since(tr.begun).Seconds()
	tr.Router.Terminate()
	return tr.Judge()
}

// Note adds to the trial's result; see [Result.Note].
func (tr *Trial) Note(name, format string, args ...any) { tr.result.Note(name, format, args...) }

// Judge is the end of [Trial.End], for tests that bring the trial there themselves.
func (tr *Trial) Judge() *Result {
	tr.T.Helper()
	judged := tr.Account()
	if tr.Mixed {
		judged.Disordered = 0
	}
	for _, line := range judged.Check(tr.result.Bound()) {
		tr.T.Error(line)
	}
	if !tr.Letter && len(tr.result.DeadLetters) != 0 {
		tr.T.Errorf("dead letters %v, want none: every fault passes", tr.result.DeadLetters)
	}
	if n := tr.result.Count(); tr.result.InFlow < n/2 {
		tr.T.Errorf("only %d of %d faults met messages on their way: the run proves little", tr.result.InFlow, n)
	}
	return tr.result
}

// Account looks what became of each message, and judges nothing. The router must have
// ended.
func (tr *Trial) Account() Report {
	tr.T.Helper()
	c := Dial(tr.T, tr.Node)
	defer c.Close()
	c.DrainIfThere(tr.Dead, func(d amqp091.Delivery) { tr.Audit.Dead(IDOf(d), ReasonOf(d), d.Body) })
	c.Drain(tr.Out, func(d amqp091.Delivery) { tr.Audit.Delivered(tr.Out, IDOf(d), d.Body) })
	tr.result.Report, tr.result.Window, tr.result.Mixed = tr.Audit.Report(), tr.Window, tr.Mixed
	return tr.result.Report
}
