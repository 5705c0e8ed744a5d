package scale

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// team is several routers that share a load.
type team struct {
	t      *testing.T
	node   *rabbitnode.Node
	client *harness.Client
	load   harness.Load
	audit  *harness.Audit
	result *harness.Result
	out    string
	faults int // each may repeat a window of messages
}

func newTeam(t *testing.T, node *rabbitnode.Node, messages int) *team {
	t.Helper()
	load := harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, messages), Keys: 101, Pad: 200}
	s := &team{
		t: t, node: node, load: load, client: harness.Dial(t, node), audit: harness.NewAudit(load),
		result: harness.NewResult(t, load.Seed), out: rabbitnode.Queue(t, "out"),
	}
	s.client.Declare(s.out)
	return s
}

// publish sends the messages from one number to before another, with the key as routing
// key unless exchange is empty.
func (s *team) publish(exchange, queue string, from, to int) {
	s.t.Helper()
	confirms := make([]*amqp091.DeferredConfirmation, 0, to-from)
	for id := from; id < to; id++ {
		key := queue
		if exchange != "" {
			key = s.load.Key(id)
		}
		s.audit.Attempted(id)
		dc, err := s.client.Ch.PublishWithDeferredConfirm(exchange, key, true, false, harness.Numbered(s.load, id))
		if err != nil {
			s.t.Fatal(err)
		}
		confirms = append(confirms, dc)
	}
	for i, dc := range confirms {
		if !dc.Wait() {
			s.t.Fatalf("message %d was not confirmed", from+i)
		}
		s.audit.Acknowledged(from + i)
	}
}

// left counts what the queues hold.
func (s *team) left(queues ...string) (total int) {
	s.t.Helper()
	for _, q := range queues {
		n, err := s.node.QueueLen(s.t.Context(), q)
		if err != nil {
			s.t.Fatal(err)
		}
		total += n
	}
	return total
}

func (s *team) awaitLeft(atMost int, queues ...string) {
	s.t.Helper()
	harness.Await(s.t, fmt.Sprintf("the queues to hold at most %d", atMost), func() (bool, string) {
		n := s.left(queues...)
		return n <= atMost, fmt.Sprintf("they hold %d", n)
	})
}

// struck counts a fault that meets messages on their way.
func (s *team) struck(fault string, queues ...string) {
	s.t.Helper()
	if n := s.left(queues...); n > 0 {
		s.result.InFlow++
	}
	s.result.Faults[fault]++
	s.faults++
}

// judge accounts for every message once the queues are empty.
func (s *team) judge(queues ...string) {
	s.t.Helper()
	s.awaitLeft(0, queues...)
	s.client.Drain(s.out, func(d amqp091.Delivery) { s.audit.Delivered(s.out, harness.IDOf(d), d.Body) })
	for _, q := range queues {
		s.client.DrainIfThere(q+".dead", func(d amqp091.Delivery) { s.audit.Dead(harness.IDOf(d), harness.ReasonOf(d), d.Body) })
	}
	s.result.Report, s.result.Window = s.audit.Report(), harness.Prefetch
	for _, line := range s.result.Check(harness.Prefetch * s.faults) {
		s.t.Error(line)
	}
	if len(s.result.DeadLetters) > 0 {
		s.t.Errorf("dead letters %v", s.result.DeadLetters)
	}
	if s.result.Delivered != s.load.Count {
		s.t.Errorf("%d of %d messages arrived", s.result.Delivered, s.load.Count)
	}
	if s.result.InFlow < s.faults {
		s.t.Errorf("%d of %d faults met messages on their way", s.result.InFlow, s.faults)
	}
}

// routes is a configuration with a route for each queue.
func (s *team) routes(queues ...string) string {
	var text strings.Builder
	for i, q := range queues {
		fmt.Fprintf(&text, "[routes.part%d]\nlisten = %q\nsend = [\"queue:%s\"]\nprefetch = %d\n", i, q, s.out, harness.Prefetch)
	}
	return text.String()
}

// start starts a router. It may consume nothing yet: the broker chooses.
func (s *team) start(config string) *harness.Process {
	s.t.Helper()
	return harness.Start(s.t, harness.ConfigFile(s.t, s.node.URL(), config))
}

// settled is how many messages a router has settled.
func settled(p *harness.Process) float64 { return p.Metric("router_messages_settled_total") }

// active returns which of the routers has settled more since the counts before.
func (s *team) active(routers []*harness.Process, among ...int) int {
	s.t.Helper()
	before := make([]float64, len(routers))
	for _, i := range among {
		before[i] = settled(routers[i])
	}
	which := -1
	harness.Await(s.t, "one of the routers to work", func() (bool, string) {
		for _, i := range among {
			if settled(routers[i]) > before[i] {
				which = i
			}
		}
		return which >= 0, "none does"
	})
	return which
}

// TestSingleActiveConsumerKeepsOrder has three routers on a queue that feeds one at a
// time. The active one is killed, then another is stopped in good order; the next goes
// on where it was, in the queue's order.
func TestSingleActiveConsumerKeepsOrder(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newTeam(t, rabbitnode.Shared(t), 8000)
			in := rabbitnode.Queue(t, "in")
			arguments := amqp091.Table{"x-single-active-consumer": true, "x-queue-type": kind}
			if _, err := s.client.Ch.QueueDeclare(in, true, false, false, false, arguments); err != nil {
				t.Fatal(err)
			}
			s.load.Keys = 1
			s.audit = harness.NewAudit(s.load)
			s.publish("", in, 0, s.load.Count)
			var routers []*harness.Process
			for range 3 {
				routers = append(routers, s.start(s.routes(in)))
			}
			working := []int{0, 1, 2}
			for _, fault := range []string{"kill -9 of the active router", "SIGTERM of the active router"} {
				at := s.active(routers, working...)
				s.awaitLeft(s.load.Count-(4-len(working))*s.load.Count/4, in)
				s.struck(fault, in)
				begin := time.Now()
				if len(working) == 3 {
					routers[at].Kill()
				} else {
					routers[at].Terminate()
				}
				next := working[:0]
				for _, i := range working {
					if i != at {
						next = append(next, i)
					}
				}
				working = next
				s.active(routers, working...)
				s.result.Recoveries = append(s.result.Recoveries, time.Since(begin).Seconds())
			}
			s.judge(in)
		})
	}
}

// TestPartitionsKeepOrderByKey spreads keys over four queues that feed one router at a
// time each. Two routers have two queues each, a third stands by for all: it takes over
// what the first leaves when it is killed, and gives it back when it is restarted
// itself. At last there is a queue more.
func TestPartitionsKeepOrderByKey(t *testing.T) {
	t.Parallel()
	node, err := rabbitnode.Start(t.Context(), rabbitnode.Config{Plugins: []string{"rabbitmq_consistent_hash_exchange"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Stop)
	s := newTeam(t, node, 12_000)
	exchange := rabbitnode.Queue(t, "keys")
	var queues []string
	for i := range 5 {
		queues = append(queues, exchange+"."+strconv.Itoa(i))
	}
	// The routers declare all of it themselves; equal declarations do no harm.
	topology := func(queues ...string) string {
		text := fmt.Sprintf("[exchanges.%q]\ntype = \"x-consistent-hash\"\n", exchange)
		for _, q := range queues {
			text += fmt.Sprintf("[queues.%q]\narguments = { x-single-active-consumer = true }\nbind = [{ exchange = %q, key = \"10\" }]\n", q, exchange)
		}
		return text
	}
	four := queues[:4]
	configs := []string{
		topology(four...) + s.routes(four[:2]...),
		topology(four...) + s.routes(four[2:]...),
		topology(four...) + s.routes(four...),
	}
	routers := []*harness.Process{s.start(configs[0]), s.start(configs[1])}
	routers = append(routers, s.start(configs[2]))
	third := s.load.Count / 3

	s.publish(exchange, "", 0, third)
	s.awaitLeft(third*3/4, four...)
	s.struck("kill -9 of a router with two queues", four[:2]...)
	begin := time.Now()
	routers[0].Kill()
	s.active(routers, 2)
	s.result.Recoveries = append(s.result.Recoveries, time.Since(begin).Seconds())
	s.awaitLeft(0, four...)
	if settled(routers[1]) == 0 {
		t.Error("the second router had nothing to do")
	}

	routers[0] = s.start(configs[0]) // which stands by now
	s.publish(exchange, "", third, 2*third)
	s.awaitLeft(third*3/4, four...)
	s.struck("SIGTERM of the router that stood by", four[:2]...)
	begin = time.Now()
	routers[2].Terminate()
	s.active(routers, 0)
	s.result.Recoveries = append(s.result.Recoveries, time.Since(begin).Seconds())
	s.awaitLeft(0, four...)

	// With the queues empty a further one can be bound, and keys may move.
	routers = append(routers, s.start(topology(queues...)+s.routes(queues[4])))
	s.publish(exchange, "", 2*third, s.load.Count)
	s.awaitLeft(0, queues...)
	if settled(routers[3]) == 0 {
		t.Error("the fifth queue got nothing")
	}
	s.result.Note("share of the fifth queue", "%.2f", settled(routers[3])/float64(s.load.Count-2*third))
	s.judge(queues...)
}
