package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/broker"
)

// outcomes is what became of the numbered messages of one case.
type outcomes struct {
	arrived []int    // in the order of their arrival, each as often as it came
	dead    []string // reasons of dead letters
}

// TestTheBrokersBadDays gives a router with one route each fault that a broker can
// have, and accounts for every message.
func TestTheBrokersBadDays(t *testing.T) {
	const each = 20
	numbers := func(from, to int) []int {
		var list []int
		for i := from; i < to; i++ {
			list = append(list, i)
		}
		return list
	}
	all := numbers(0, 2*each)
	router := func(name string) bool { return name != "test" }
	for _, c := range []struct {
		name  string
		fault func(f *broker.Faults)
		// resume ends a fault that lasts.
		resume func(f *broker.Faults)
		twice  int // how many messages may come again
		lost   int // of the messages in all, how many become dead letters
		reason string
		behind bool // what was refused comes behind what was under way with it
	}{
		{name: "none"},
		{name: "a publish is refused", fault: func(f *broker.Faults) { f.NackPublishes(1) }, behind: true},
		{name: "publishes are refused", fault: func(f *broker.Faults) { f.NackPublishes(3) }, behind: true},
		{name: "a message is returned", fault: func(f *broker.Faults) { f.ReturnPublishes(1) }, lost: 1, reason: "unroutable"},
		{name: "a confirm never comes", fault: func(f *broker.Faults) { f.DropConfirms(1) }, twice: 2 * each},
		{name: "confirms are late", fault: func(f *broker.Faults) { f.DelayConfirms(20e6) }, resume: func(f *broker.Faults) { f.DelayConfirms(0) }},
		{name: "the consumer is cancelled", fault: func(f *broker.Faults) { f.CancelConsumers("/", "in") }},
		{name: "channels are closed", fault: func(f *broker.Faults) { f.CloseChannels(router, 406, "PRECONDITION_FAILED - a test") }, twice: 2 * each},
		{name: "connections are closed", fault: func(f *broker.Faults) { f.CloseConnections(router, 320, "CONNECTION_FORCED - a test") }, twice: 2 * each},
		{name: "connections are cut", fault: func(f *broker.Faults) { f.CutConnections(router) }, twice: 2 * each},
		{name: "connections are cut and dials refused", fault: func(f *broker.Faults) { f.RefuseDials(3); f.CutConnections(router) }, twice: 2 * each},
		{name: "deliveries come twice", fault: func(f *broker.Faults) { f.DeliverTwice(2) }},
		{name: "a frame is cut", fault: func(f *broker.Faults) { f.CutAfter(router, 100) }, twice: 2 * each},
		{name: "nothing is read", fault: func(f *broker.Faults) { f.StallReads() }, resume: func(f *broker.Faults) { f.StallReads()() }},
		{name: "publishers are blocked", fault: (*broker.Faults).Block, resume: (*broker.Faults).Unblock},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := broker.New(broker.Config{})
			t.Cleanup(s.Close)
			address, err := s.Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			b := openBench(t, "amqp://guest:guest@"+address+"/")
			b.publish(t, numbers(0, each))
			a := startOn(t, address)
			b.await(t, each, 0)
			if c.fault != nil {
				c.fault(s.Faults())
			}
			if c.resume != nil { // it lasts for a while, in which messages are on their way
				end := time.AfterFunc(50*time.Millisecond, func() { c.resume(s.Faults()) })
				defer end.Stop()
			}
			b.publish(t, numbers(each, 2*each))
			b.await(t, 2*each-c.lost, c.lost)
			drained(t, s)
			if err := a.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			got := b.outcomes(t)
			distinct := slices.Clone(got.arrived)
			slices.Sort(distinct)
			distinct = slices.Compact(distinct)
			if len(distinct) != len(all)-c.lost {
				t.Errorf("%d of %d messages arrived: %v", len(distinct), len(all), distinct)
			}
			if again := len(got.arrived) - len(distinct); again > c.twice {
				t.Errorf("%d messages came again: %v", again, got.arrived)
			}
			if first := firsts(got.arrived); !slices.IsSorted(first) && !c.behind {
				t.Errorf("out of order: %v", got.arrived)
			}
			if len(got.dead) != c.lost || c.lost > 0 && got.dead[0] != c.reason {
				t.Errorf("dead letters: %v", got.dead)
			}
		})
	}
}

// firsts returns the first arrival of each message.
func firsts(arrived []int) []int {
	var list []int
	for _, n := range arrived {
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

// startOn runs a router with one route from in to out.
func startOn(t *testing.T, address string) *app.App {
	t.Helper()
	path := filepath.Join(t.TempDir(), "router.toml")
	write(t, path, `
[broker]
url = "amqp://`+address+`/"
confirm_timeout = "300ms"

[queues.in]
[queues.out]

[routes.r]
listen = "in"
send = ["queue:out"]
dead_letter = "dead"
retry = { max_attempts = 100, backoff = "5ms", max_backoff = "20ms" }

[process]
cache_dir = "`+cacheDir+`"

[admin]
listen = ""
`)
	a, err := app.New(t.Context(), app.Options{ConfigPath: path, LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// faultBench is who sends the messages and looks where they are.
type faultBench struct{ ch *amqp091.Channel }

func openBench(t *testing.T, url string) *faultBench {
	t.Helper()
	conn, err := amqp091.DialConfig(url, amqp091.Config{Properties: amqp091.Table{"connection_name": "test"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"in", "out", "dead"} {
		if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	return &faultBench{ch}
}

func (b *faultBench) publish(t *testing.T, numbers []int) {
	t.Helper()
	for _, n := range numbers {
		if err := b.ch.PublishWithContext(t.Context(), "", "in", false, false, amqp091.Publishing{MessageId: fmt.Sprint(n), Body: []byte(strconv.Itoa(n))}); err != nil {
			t.Fatal(err)
		}
	}
}

// await waits until as many messages have arrived, as dead letters too.
func (b *faultBench) await(t *testing.T, out, dead int) {
	t.Helper()
	await(t, "the messages", func() (bool, string) {
		arrived, err := b.ch.QueueDeclarePassive("out", true, false, false, false, nil)
		letters, err2 := b.ch.QueueDeclarePassive("dead", true, false, false, false, nil)
		if err := errors.Join(err, err2); err != nil {
			return false, err.Error()
		}
		return arrived.Messages >= out && letters.Messages >= dead, fmt.Sprintf("%d arrived, %d are dead", arrived.Messages, letters.Messages)
	})
}

// drained waits until the route's queue is empty and everything acknowledged.
func drained(t *testing.T, s *broker.Server) {
	t.Helper()
	await(t, "the queue to be empty", func() (bool, string) {
		for _, q := range s.Stat().Queues {
			if q.Name == "in" {
				return q.Ready+q.Unacked == 0, fmt.Sprintf("%d ready, %d unacknowledged", q.Ready, q.Unacked)
			}
		}
		return false, "there is no queue"
	})
}

func (b *faultBench) outcomes(t *testing.T) outcomes {
	t.Helper()
	var got outcomes
	for {
		d, ok, err := b.ch.Get("out", true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		n, err := strconv.Atoi(string(d.Body))
		if err != nil {
			t.Fatal(err)
		}
		got.arrived = append(got.arrived, n)
	}
	for {
		d, ok, err := b.ch.Get("dead", true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return got
		}
		got.dead = append(got.dead, fmt.Sprint(d.Headers["x-router-reason"]))
	}
}
