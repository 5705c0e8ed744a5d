package matrix

import (
	"fmt"
	"math"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/e2e/harness"
)

// TestF27PartialSuccess has one of three targets refuse while the others take: only it
// is sent to again. Then the router is killed with messages that reached two of three,
// and the next one sends those to all.
func TestF27PartialSuccess(t *testing.T) {
	t.Parallel()
	const count, waves = 40, 2
	s := broker.New(broker.Config{})
	t.Cleanup(s.Close)
	address, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "amqp://guest:guest@" + address + "/"
	conn, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	targets := []string{"a", "b", "full"}
	for _, q := range append(targets, "in") {
		var args amqp091.Table
		if q == "full" {
			args = amqp091.Table{"x-max-length": int32(count), "x-overflow": "reject-publish"}
		}
		if _, err := ch.QueueDeclare(q, true, false, false, false, args); err != nil {
			t.Fatal(err)
		}
	}
	load := harness.Load{Seed: harness.Seed(t), Count: waves * count, Keys: 1}
	result := harness.NewResult(t, load.Seed)
	audits := map[string]*harness.Audit{}
	for _, q := range targets {
		audits[q] = harness.NewAudit(load)
	}
	for id := range load.Count {
		if err := ch.PublishWithContext(t.Context(), "", "in", true, false, harness.Numbered(load, id)); err != nil {
			t.Fatal(err)
		}
		for _, a := range audits {
			a.Attempted(id)
			a.Acknowledged(id)
		}
	}
	length := func(q string) int {
		t.Helper()
		got, err := ch.QueueDeclarePassive(q, true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Messages
	}
	take := func(q string, most int) {
		t.Helper()
		for range most {
			d, ok, err := ch.Get(q, true)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			audits[q].Delivered(q, harness.IDOf(d), d.Body)
		}
	}
	config := harness.ConfigFile(t, url, `
[routes.r]
listen = "in"
send = ["queue:a", "queue:b", "queue:full"]
order = "none"
retry = { max_attempts = 1000, backoff = "10ms", max_backoff = "50ms" }
`)
	p := harness.Start(t, config)
	refused := func() {
		t.Helper()
		harness.Await(t, "the full queue to refuse again and again", func() (bool, string) {
			nacked, left := p.Metric("router_messages_sent_total", `result="nacked"`), p.Metric("router_inflight_messages")
			return nacked > 5*count && left == count, fmt.Sprintf("%v refused, %v in hand", nacked, left)
		})
	}
	refused()
	for _, q := range []string{"a", "b"} {
		if got := length(q); got != load.Count {
			t.Errorf("%s has %d messages while the third target refuses, want %d: each once", q, got, load.Count)
		}
	}
	// While they wait for the third target the router is killed.
	result.Faults["target full"], result.Faults["router killed"], result.InFlow, result.Window = 1, 1, 2, count
	p.Kill()
	p = harness.Start(t, config)
	refused()
	take("full", count)
	harness.Await(t, "the rest to arrive", func() (bool, string) {
		got := length("full")
		return got == count, fmt.Sprint(got)
	})
	p.Terminate()
	for _, q := range targets {
		take(q, math.MaxInt)
		r := audits[q].Report()
		again := count // for those that the first router had not settled
		if q == "full" {
			again = 0 // it had taken none of them
		}
		if r.Lost+r.Unexpected+r.Changed != 0 || r.Delivered != load.Count || r.Duplicated != again {
			t.Errorf("%s: %+v, want %d duplicates", q, r, again)
		}
		result.Note("duplicates of "+q, "%d", r.Duplicated)
		result.Report, result.Mixed = r, true
	}
	if got := length("in"); got != 0 {
		t.Errorf("%d messages are left", got)
	}
}
