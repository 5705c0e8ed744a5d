package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestHostile runs filters that loop, eat memory, trap and recurse beside a
// route that works: each of their messages becomes a dead letter that says why,
// and the process lives. How late the other route's messages came is logged.
func TestHostile(t *testing.T) {
	const each = 10
	// Only the endless one is to meet its time limit; the others have so much
	// that they meet the limit they are made for, however busy the machine is.
	hostile := map[string]struct{ reason, time string }{
		"loop":   {"filter-deadline", "50ms"},
		"hungry": {"filter-memory", "30s"},
		"trap":   {"filter-trap", "30s"},
		"deep":   {"filter-trap", "30s"},
	}
	n := rabbitnode.Shared(t)
	c := dial(t, n)
	in, out := rabbitnode.Queue(t, "in"), rabbitnode.Queue(t, "out")
	c.declare(in, out)
	text := chain("calm", in, out)
	queues := map[string]string{}
	modules := map[string][]byte{}
	for name, h := range hostile {
		module, ok := filters.Lookup("demo:" + name)
		if !ok {
			t.Fatalf("there is no demo filter %s", name)
		}
		queues[name], modules[name] = rabbitnode.Queue(t, name), module
		c.declare(queues[name])
		text += fmt.Sprintf(`
[filters.%[1]s]
path = "%[1]s.wasm"
limits = { time = "%[3]s", memory = "16MiB" }
[routes.%[1]s]
listen = "%[2]s"
filters = ["%[1]s"]
allow = ["queue:none"]
`, name, queues[name], h.time)
	}
	config := configFile(t, n.URL(), text)
	for name, module := range modules {
		if err := os.WriteFile(filepath.Join(filepath.Dir(config), name+".wasm"), module, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, config)

	deliveries, err := c.ch.Consume(out, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	// probe sends one message after the other through the calm route until busy
	// says no, and returns how long each was on its way.
	body := Load{Count: 1, Keys: 1}.Body(0)
	probe := func(busy func(i int) bool) (took []time.Duration) {
		for i := 0; busy(i); i++ {
			begin := time.Now()
			c.publish(in, amqp091.Publishing{Body: body})
			select {
			case _, ok := <-deliveries:
				if !ok {
					t.Fatal("the tests' own connection was lost")
				}
				took = append(took, time.Since(begin))
			case <-p.done:
				t.Fatalf("the router ended:\n%s", p.tail(20))
			case <-time.After(patience):
				t.Fatalf("the calm route stands still:\n%s", p.tail(20))
			}
		}
		return took
	}
	alone := probe(func(i int) bool { return i < 200 })
	for name, queue := range queues {
		var msgs []amqp091.Publishing
		for i := range each {
			msgs = append(msgs, amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: []byte(name), Headers: amqp091.Table{"id": int64(i)}})
		}
		c.publish(queue, msgs...)
	}
	end := time.Now().Add(patience)
	beside := probe(func(i int) bool {
		if time.Now().After(end) {
			t.Fatalf("the hostile filters are not stopped:\n%s", p.tail(20))
		}
		if i%20 != 0 {
			return true
		}
		for _, queue := range queues {
			if left, err := n.QueueLen(t.Context(), queue); err != nil {
				t.Fatal(err)
			} else if left > 0 {
				return true
			}
		}
		return false
	})
	t.Logf("one message through the calm route: alone %s; beside hostile filters %s", spread(alone), spread(beside))

	if !p.alive() {
		t.Fatal("the router ended")
	}
	for name, queue := range queues {
		var want, got []string
		for i := range each {
			want = append(want, fmt.Sprintf("%d %s %s %s", i, name, hostile[name].reason, name))
		}
		c.drain(queue+".dead", func(d amqp091.Delivery) {
			got = append(got, fmt.Sprintf("%d %s %s %s", idOf(d), d.Body, reasonOf(d), d.Headers["x-router-filter"]))
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("dead letters of the filter %s (-want +got):\n%s", name, diff)
		}
	}
	p.terminate()
}

// spread describes durations by their median, 99th percentile and maximum.
func spread(all []time.Duration) string {
	slices.Sort(all)
	var parts []string
	for _, q := range []struct {
		name string
		at   int
	}{{"median", len(all) / 2}, {"p99", len(all) * 99 / 100}, {"worst", len(all) - 1}} {
		parts = append(parts, fmt.Sprintf("%s %s", q.name, all[q.at].Round(10*time.Microsecond)))
	}
	return fmt.Sprintf("(%d messages) %s", len(all), strings.Join(parts, ", "))
}
