package oslo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

const everyPriority = `"priorities": ["audit", "debug", "info", "warn", "error", "critical", "sample"]`

func notifyOf(exchange, topic, priority string) router.Target {
	return router.Target{Kind: router.TargetNotify, Exchange: exchange, Topic: topic, Priority: priority}
}

func TestAPythonListenerHearsAGoNotifier(t *testing.T) {
	t.Parallel()
	g := connect(t)
	py := thePython(t)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	at := fields("exchange", exchange, "topic", topic)
	py.must(t, "listen", at, everyPriority, `"requeue": true`)
	py.must(t, "listen", at, everyPriority, fields("pool", topic+".pool", "key", topic+".pool."))
	notify := func(t *testing.T, format rpc.Format, topic, priority, event, payload string) {
		t.Helper()
		err := g.client(format).Notify(t.Context(), notifyOf(exchange, topic, priority), rpc.Notification{
			MessageID: "m1", PublisherID: "go.host", EventType: event, Payload: []byte(payload),
			Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Context: map[string]any{"user_id": "u1", "deep": map[string]any{"n": 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	heard := func(priority, payload string) string {
		return `{"priority": "` + priority + `", "context": {"deep": {"n": 1}, "user_id": "u1", "client_timeout": null}, "publisher": "go.host", "payload": ` + payload + `, "id": "m1", "at": "2026-01-02 03:04:05.000006"}`
	}

	for name, format := range map[string]rpc.Format{"v2": rpc.Oslo{}, "v1": rpc.Oslo{Flat: true}, "compressed": rpc.Oslo{Compress: true}, "v1 compressed": rpc.Oslo{Flat: true, Compress: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event, payload := rabbitnode.Queue(t), `{"n": 1.0, "x": NaN, "text": "h\u00e9llo"}`
			notify(t, format, topic, "error", event, payload)
			py.expect(t, event, heard("error", payload))
			// A pool gets a copy of what others listen to.
			py.expect(t, topic+".pool."+event, heard("error", payload))
		})
	}
	for _, priority := range oslo.Priorities {
		t.Run(priority, func(t *testing.T) {
			t.Parallel()
			event := rabbitnode.Queue(t)
			notify(t, rpc.Oslo{}, topic, priority, event, `["a list"]`)
			py.expect(t, event, heard(priority, `["a list"]`))
		})
	}
	t.Run("requeue", func(t *testing.T) {
		t.Parallel()
		event, payload := rabbitnode.Queue(t), `{"requeue": 2}`
		notify(t, rpc.Oslo{}, topic, "info", event, payload)
		py.expect(t, event, heard("info", payload), heard("info", payload), heard("info", payload))
	})
	t.Run("several topics", func(t *testing.T) {
		t.Parallel()
		event, other := rabbitnode.Queue(t), topic+".other"
		py.must(t, "listen", fields("exchange", exchange, "topic", other, "key", other+"."), everyPriority)
		n, err := g.Notifier(rpc.NotifierConfig{PublisherID: "go.host", Exchange: exchange, Topics: []string{topic, other}})
		if err != nil {
			t.Fatal(err)
		}
		what := rpc.Notification{
			MessageID: "m1", EventType: event, Payload: []byte(`{}`), Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
			Context: map[string]any{"deep": map[string]any{"n": 1}},
		}
		if err := n.Critical(rpc.WithContext(t.Context(), map[string]any{"user_id": "u1"}), what); err != nil {
			t.Fatal(err)
		}
		py.expect(t, event, heard("critical", `{}`))
		py.expect(t, other+"."+event, heard("critical", `{}`))
	})
	t.Run("a batch", func(t *testing.T) {
		t.Parallel()
		topic, key := topic+".batch", topic+".batch."
		py.must(t, "listen", fields("exchange", exchange, "topic", topic, "key", key), everyPriority, `"batch": 3, "within": 60`)
		for i := range 3 {
			notify(t, rpc.Oslo{}, topic, "info", fmt.Sprint("e", i), `{}`)
		}
		py.expect(t, key+"batch", `{"priority": "info", "events": ["e0", "e1", "e2"]}`)
	})
	t.Run("it waits for a listener", func(t *testing.T) {
		t.Parallel()
		topic, event := topic+".wait", rabbitnode.Queue(t)
		notify(t, rpc.Oslo{}, topic, "warn", event, `{}`)
		py.must(t, "listen", fields("exchange", exchange, "topic", topic), everyPriority)
		py.expect(t, event, heard("warn", `{}`))
	})
}

func TestAGoListenerHearsAPythonNotifier(t *testing.T) {
	t.Parallel()
	g := connect(t)
	py := thePython(t)
	exchange, topic := "openstack", rabbitnode.Queue(t, "t")
	heard, pool := newHearing(), newHearing()
	g.hear(rpc.NotificationListenerConfig{Workers: 4, RequeueDelay: time.Millisecond}, exchange, topic, heard.hear)
	g.hear(rpc.NotificationListenerConfig{Workers: 4, Pool: topic + ".pool"}, exchange, topic, pool.hear)
	notify := func(t *testing.T, event, priority, payload string, more ...string) {
		t.Helper()
		py.must(t, "notify", append(more, fields("topic", topic, "event", event, "priority", priority), `"context": {"user_id": "u1", "roles": ["a"]}, "payload": `+payload)...)
	}
	check := func(t *testing.T, n rpc.Notification, topic, priority, payload string) {
		t.Helper()
		type essence struct {
			Priority, PublisherID, Payload, Key string
			Context                             map[string]any
		}
		want := essence{priority, "py.host", payload, topic + "." + priority, map[string]any{"user_id": "u1", "roles": []any{"a"}}}
		if diff := cmp.Diff(want, essence{n.Priority, n.PublisherID, string(n.Payload), n.Origin.RoutingKey, n.Context}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(n.MessageID) != 36 || len(n.UniqueID) != 32 || time.Since(n.Timestamp).Abs() > time.Hour {
			t.Errorf("%+v", n)
		}
	}

	for name, how := range map[string]string{
		"v2": `"driver": "messagingv2"`, "v1": `"driver": "messaging"`,
		"gzip": `"query": "kombu_compression=gzip"`, "bzip2": `"query": "kombu_compression=bzip2"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event, payload := rabbitnode.Queue(t), `{"n": 1.0, "x": NaN, "text": "h\u00e9llo"}`
			notify(t, event, "warn", payload, how)
			check(t, heard.next(t, event), topic, "warn", payload)
			check(t, pool.next(t, event), topic, "warn", payload)
		})
	}
	for _, priority := range oslo.Priorities {
		t.Run(priority, func(t *testing.T) {
			t.Parallel()
			event := rabbitnode.Queue(t)
			notify(t, event, priority, `"text"`)
			check(t, heard.next(t, event), topic, priority, `"text"`)
		})
	}
	t.Run("several topics", func(t *testing.T) {
		t.Parallel()
		event, other := rabbitnode.Queue(t), newHearing()
		g.hear(rpc.NotificationListenerConfig{}, exchange, topic+".other", other.hear)
		notify(t, event, "info", `{}`, fmt.Sprintf(`"topics": [%q, %q]`, topic, topic+".other"))
		check(t, heard.next(t, event), topic, "info", `{}`)
		check(t, other.next(t, event), topic+".other", "info", `{}`)
	})
	t.Run("a batch", func(t *testing.T) {
		t.Parallel()
		topic, batches := topic+".batch", make(chan []string, 10)
		g.hear(rpc.NotificationListenerConfig{BatchSize: 3, BatchTimeout: patience, Endpoints: []rpc.NotificationEndpoint{{
			Batch: func(_ context.Context, batch []*rpc.Notification) error {
				var events []string
				for _, n := range batch {
					events = append(events, n.Priority+" "+n.EventType)
				}
				batches <- events
				return nil
			},
		}}}, exchange, topic, nil)
		for _, event := range []string{"e0", "e1", "e2"} {
			notify(t, event, "error", `{}`, fmt.Sprintf(`"topics": [%q]`, topic))
		}
		if diff := cmp.Diff([]string{"error e0", "error e1", "error e2"}, <-batches); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("only what is wanted", func(t *testing.T) {
		t.Parallel()
		topic, some := topic+".some", newHearing()
		g.hear(rpc.NotificationListenerConfig{Endpoints: []rpc.NotificationEndpoint{{
			Filter: rpc.NotificationFilter{EventType: `disk\.`}, Handle: some.hear,
		}}}, exchange, topic, nil)
		for _, event := range []string{"cpu.hot", "disk.full"} {
			notify(t, event, "error", `{}`, fmt.Sprintf(`"topics": [%q]`, topic))
		}
		some.next(t, "disk.full")
		if n := len(some.under("cpu.hot")); n != 0 {
			t.Errorf("%d that were not wanted", n)
		}
	})
	t.Run("requeue", func(t *testing.T) {
		t.Parallel()
		event := rabbitnode.Queue(t) + ".again"
		notify(t, event, "info", `{}`)
		check(t, heard.next(t, event), topic, "info", `{}`)
		check(t, heard.next(t, event), topic, "info", `{}`)
	})
	t.Run("it waits for a listener", func(t *testing.T) {
		t.Parallel()
		topic, event, late := topic+".wait", rabbitnode.Queue(t), newHearing()
		notify(t, event, "info", `{}`, fmt.Sprintf(`"topics": [%q]`, topic))
		g.hear(rpc.NotificationListenerConfig{}, exchange, topic, late.hear)
		check(t, late.next(t, event), topic, "info", `{}`)
	})
}

// hearing is what a Go listener has heard, by event type. An event whose type
// ends with .again fails the first time.
type hearing struct {
	mu sync.Mutex // protects of
	of map[string]chan rpc.Notification
}

func newHearing() *hearing { return &hearing{of: map[string]chan rpc.Notification{}} }

func (h *hearing) under(event string) chan rpc.Notification {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[event] == nil {
		h.of[event] = make(chan rpc.Notification, 100)
	}
	return h.of[event]
}

func (h *hearing) hear(_ context.Context, n *rpc.Notification) error {
	h.under(n.EventType) <- *n
	if strings.HasSuffix(n.EventType, ".again") && !n.Origin.Redelivered {
		return errors.New("again")
	}
	return nil
}

func (h *hearing) next(t *testing.T, event string) rpc.Notification {
	t.Helper()
	select {
	case n := <-h.under(event):
		return n
	case <-time.After(patience):
		t.Fatalf("%s is not heard", event)
	}
	return rpc.Notification{}
}
