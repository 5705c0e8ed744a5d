package matrix

import (
	"fmt"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// pair is a trial whose target is behind an exchange, and another one in the same
// router that has nothing to do with it.
type pair struct {
	*harness.Trial
	other *harness.Trial
	x     *exchange
	rate  float64 // of the other before the fault
}

func newPair(t *testing.T, n *rabbitnode.Node, full int) *pair {
	t.Helper()
	seed, count := harness.Seed(t), harness.Messages(t, full)
	p := &pair{
		Trial: harness.NewTrial(t, n, harness.Load{Seed: seed, Count: count, Keys: 8, Pad: 64}),
		other: harness.NewTrial(t, n, harness.Load{Seed: seed + 1, Count: count, Keys: 8, Pad: 64}),
	}
	p.other.Route = "other"
	p.Window, p.other.Window = 0, 0
	p.x = newExchange(t, n, p.Out)
	return p
}

// begin starts the router with both routes.
func (p *pair) begin(more string, lines ...string) {
	p.Launch(p.Node.URL(), more+
		plain("trial", p.In, p.x.target(), lines...)+
		plain("other", p.other.In, "queue:"+p.other.Out), p.other)
}

// rateUntil is how many messages of the other trial a second are settled until done
// returns.
func (p *pair) rateUntil(done func()) float64 {
	p.T.Helper()
	begin, before := time.Now(), p.other.Metric("messages_settled_total")
	done()
	return (p.other.Metric("messages_settled_total") - before) / time.Since(begin).Seconds()
}

// flow lets both trials pass until the other has settled so many.
func (p *pair) flow(settled int) {
	p.T.Helper()
	p.rate = p.rateUntil(func() { awaitMetric(p.other, float64(settled), "messages_settled_total") })
}

// undisturbed takes the other trial to its end while the fault lasts: all of it
// arrives, at once and in order.
func (p *pair) undisturbed() {
	p.T.Helper()
	rate := p.rateUntil(func() { harness.AwaitEmpty(p.T, p.Node, p.other.In) })
	p.other.Note("messages a second beside the fault", "%.0f", rate)
	if p.rate > 0 {
		p.other.Note("share of the rate before it", "%.2f", rate/p.rate)
	}
	checkMetrics(p.other,
		check{"messages_sent_total", []string{`result="ok"`}, float64(p.other.Load.Count)},
		check{"messages_sent_total", []string{`result="unconfirmed"`}, 0},
		check{"retries_total", nil, 0},
		check{"redelivered_total", nil, 0},
	)
	if got := p.Router.Metric("router_amqp_reconnects_total"); got != 0 {
		p.T.Errorf("%v connections were made again, want none", got)
	}
}

// patient is a route that waits for its target.
const patient = `retry = { unroutable = true, max_attempts = 1000000, backoff = "10ms", max_backoff = "100ms" }`

// The exchange of one route is deleted again and again while messages pass; each
// attempt costs a channel. The other route goes on as if nothing were.
func TestF16ExchangeDeleted(t *testing.T) {
	t.Parallel()
	p := newPair(t, rabbitnode.Shared(t), 1500)
	p.x.declare()
	p.begin("", patient, "prefetch = 1")
	const faults = 3
	p.flow(p.Load.Count / 4)
	for i := range faults {
		p.Until(i * p.Load.Count / 20)
		p.Struck("exchange deleted")
		before := p.Metric("messages_sent_total", `result="unroutable"`)
		p.x.delete()
		awaitMetric(p.Trial, before+5, "messages_sent_total", `result="unroutable"`)
		if i == 0 {
			p.undisturbed()
		}
		p.x.declare()
		p.Recovered()
	}
	p.End()
	p.other.Judge()
}

// The exchange is deleted and nobody waits for it: what comes meanwhile is a dead
// letter that names it, and nothing else is.
func TestF16ExchangeDeletedForGood(t *testing.T) {
	t.Parallel()
	p := newPair(t, rabbitnode.Shared(t), 4000)
	// Of the window in which the deletion falls nobody knows what the exchange took.
	p.Letter, p.Window = true, harness.Prefetch
	p.x.declare()
	p.begin("")
	p.flow(p.Load.Count / 4)
	p.Struck("exchange deleted")
	p.x.delete()
	p.undisturbed()
	harness.AwaitEmpty(t, p.Node, p.In)
	deadLetters(p.Trial, func(id int, d amqp091.Delivery) {
		if text := fmt.Sprint(d.Headers["x-router-error"]); harness.ReasonOf(d) != "unroutable" || !strings.Contains(text, p.x.name) {
			t.Errorf("message %d is a dead letter for %s: %s", id, harness.ReasonOf(d), text)
		}
	})
	r := p.End()
	p.other.Judge()
	if r.Delivered+r.DeadLetters["unroutable"]-r.Duplicated != p.Load.Count || r.DeadLetters["unroutable"] == 0 {
		t.Errorf("%d delivered and dead letters %v, want each of %d messages in a place", r.Delivered, r.DeadLetters, p.Load.Count)
	}
}

// The exchange is not there when the router starts, whether it is to be there by the
// configuration or not: the other route works, and /readyz says what is lacking.
func TestF16ExchangeMissingAtTheStart(t *testing.T) {
	t.Parallel()
	for name, configured := range map[string]bool{"unknown": false, "in the configuration": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, rabbitnode.Shared(t), 4000)
			more := ""
			if configured {
				more = fmt.Sprintf("[exchanges.%q]\ntype = \"direct\"\ndeclare = \"passive\"\n", p.x.name)
			}
			p.begin(more, patient)
			p.Struck("exchange missing")
			awaitMetric(p.Trial, 5, "messages_sent_total", `result="unroutable"`)
			if configured {
				p.Router.AwaitUnready(`exchange \"` + p.x.name + `\": it does not exist`)
			}
			p.undisturbed()
			p.x.declare()
			p.Recovered()
			p.Router.AwaitReady()
			p.Mixed = true // those of one window pass each other
			p.End()
			p.other.Judge()
		})
	}
}
