package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// listen starts a listener and returns how to stop it.
func listen(t *testing.T, b *broker, cfg rpc.NotificationListenerConfig) (*rpc.NotificationListener, func() error) {
	t.Helper()
	cfg.Listener, cfg.Declare = b, b.declare
	if cfg.Format == nil {
		cfg.Format = rpc.Oslo{}
	}
	l, err := rpc.NewNotificationListener(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- l.Listen(ctx) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-result
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return l, stop
}

func handle(f rpc.NotificationHandler, priorities ...string) []rpc.NotificationEndpoint {
	return []rpc.NotificationEndpoint{{Priorities: priorities, Handle: f}}
}

// notice is what a notifier sends, with what the caller wants of it.
func notice(t *testing.T, priority, payload string, change ...func(*rpc.Notification)) router.Envelope {
	t.Helper()
	n := rpc.Notification{
		EventType: "e", PublisherID: "p", Priority: priority, Payload: []byte(payload),
		MessageID: "m" + payload, UniqueID: oslo.NewID(), Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
	}
	for _, f := range change {
		f(&n)
	}
	env, err := (rpc.Oslo{}).EncodeNotification(n)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestNotificationsWaitForTheirListener(t *testing.T) {
	sent := rpc.Notification{
		PublisherID: "compute.host1", EventType: "instance.created", Payload: []byte(`{"id": 1.0, "x": NaN}`),
		Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Context: map[string]any{"user": "u1"},
	}
	for name, format := range map[string]rpc.Format{"oslo": rpc.Oslo{}, "flat": rpc.Oslo{Flat: true}, "compressed": rpc.Oslo{Compress: true}, "plain": rpc.Plain{}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				n := newNotifier(t, rpc.NotifierConfig{Client: newClient(t, b, func(c *rpc.ClientConfig) { c.Format = format })})
				if err := n.Warn(t.Context(), sent); err != nil {
					t.Fatal(err)
				}
				var got []rpc.Notification
				listen(t, b, rpc.NotificationListenerConfig{Format: format, Endpoints: handle(func(_ context.Context, n *rpc.Notification) error {
					got = append(got, *n)
					return nil
				})})
				synctest.Wait()
				want := sent
				want.Priority = "warn"
				want.Origin = router.Origin{Queue: "notifications.warn", Exchange: "openstack", RoutingKey: "notifications.warn"}
				if diff := cmp.Diff([]rpc.Notification{want}, got, cmpopts.IgnoreFields(rpc.Notification{}, "MessageID", "UniqueID")); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if len(got) == 1 && (len(got[0].MessageID) != 36 || (got[0].UniqueID == "") != (name == "plain")) {
					t.Errorf("ids %q %q", got[0].MessageID, got[0].UniqueID)
				}
				if acked, _, unacked := b.count(); acked != 1 || unacked != 0 {
					t.Errorf("%d acknowledged, %d not", acked, unacked)
				}
			})
		})
	}
}

func TestEndpointsDecideWhatIsListenedTo(t *testing.T) {
	l, err := rpc.NewNotificationListener(rpc.NotificationListenerConfig{
		Listener: newBroker(), Format: rpc.Oslo{},
		Targets: []rpc.NotificationTarget{{Topic: "a"}, {Topic: "b"}, {Topic: "a", Exchange: "other"}},
		Endpoints: []rpc.NotificationEndpoint{
			{Priorities: []string{"ERROR", "info"}, Handle: func(context.Context, *rpc.Notification) error { return nil }},
			{Priorities: []string{"error"}, Batch: func(context.Context, []*rpc.Notification) error { return nil }},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.info", "a.error", "b.info", "b.error"}, l.Queues()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryEndpointGetsWhatItWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		got := map[string][]string{}
		endpoint := func(name string, filter rpc.NotificationFilter, priorities ...string) rpc.NotificationEndpoint {
			return rpc.NotificationEndpoint{Priorities: priorities, Filter: filter, Handle: func(_ context.Context, n *rpc.Notification) error {
				got[name] = append(got[name], n.Priority+" "+string(n.Payload))
				return nil
			}}
		}
		l, _ := listen(t, b, rpc.NotificationListenerConfig{
			Targets: []rpc.NotificationTarget{{Topic: "a"}, {Topic: "b"}},
			Endpoints: []rpc.NotificationEndpoint{
				endpoint("info", rpc.NotificationFilter{}, "info"),
				endpoint("all", rpc.NotificationFilter{}),
				endpoint("some", rpc.NotificationFilter{EventType: "compute"}, "info", "warn"),
			},
		})
		synctest.Wait()
		event := func(n *rpc.Notification) { n.EventType = "compute.started" }
		b.put("a.info", notice(t, "info", `"text"`))
		b.put("b.info", notice(t, "INFO", `[1]`, event))
		b.put("a.warn", notice(t, "warn", `null`, event))
		b.put("a.error", notice(t, "error", `2`))
		b.put("a.error", notice(t, "panic", `3`))
		b.put("a.error", notice(t, "", `4`))
		b.put("a.error", router.NewEnvelope(nil, []byte(`{"method": "no notification"}`)))
		synctest.Wait()
		for _, list := range got {
			slices.Sort(list)
		}
		want := map[string][]string{
			"info": {`info "text"`, `info [1]`},
			"all":  {`error 2`, `info "text"`, `info [1]`, `warn null`},
			"some": {`info [1]`, `warn null`},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(rpc.NotificationStat{Received: 7, Handled: 4, Unknown: 2, Malformed: 1, Dropped: 1}, l.Stat()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if acked, requeued, unacked := b.count(); acked != 7 || requeued != 0 || unacked != 0 {
			t.Errorf("%d acknowledged, %d given back, %d in hand", acked, requeued, unacked)
		}
	})
}

func TestWhatNoEndpointWantsIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		l, _ := listen(t, b, rpc.NotificationListenerConfig{
			Pool: "pool",
			Endpoints: []rpc.NotificationEndpoint{{
				Priorities: []string{"info"}, Filter: rpc.NotificationFilter{EventType: "other"},
				Handle: func(context.Context, *rpc.Notification) error { t.Error("handled"); return nil },
			}},
		})
		synctest.Wait()
		b.put("pool", notice(t, "info", "1"))
		b.put("pool", notice(t, "warn", "2"))
		synctest.Wait()
		if acked, _, unacked := b.count(); acked != 2 || unacked != 0 || l.Stat().Unwanted != 2 {
			t.Errorf("%d acknowledged, %d in hand, %+v", acked, unacked, l.Stat())
		}
	})
}

func TestAPoolIsOneQueueForEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		l, _ := listen(t, b, rpc.NotificationListenerConfig{
			Pool: "pool", Targets: []rpc.NotificationTarget{{Topic: "a"}, {Topic: "b", Exchange: "x"}},
			Endpoints: handle(func(context.Context, *rpc.Notification) error { return nil }, "info", "warn"),
		})
		synctest.Wait()
		if diff := cmp.Diff([]string{"pool"}, l.Queues()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		var got []rpc.Binding
		b.declarations(func(t rpc.Topology) bool { got = append(got, t.Bindings...); return true })
		want := []rpc.Binding{
			{Exchange: "openstack", Queue: "pool", Key: "a.info"},
			{Exchange: "openstack", Queue: "pool", Key: "a.warn"},
			{Exchange: "x", Queue: "pool", Key: "b.info"},
			{Exchange: "x", Queue: "pool", Key: "b.warn"},
		}
		want = append(want, want...) // once before listening, and once by the listener
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestDuplicatesAreSettledWithoutBeingHandledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var got []string
		goOn := make(chan struct{})
		l, _ := listen(t, b, rpc.NotificationListenerConfig{Workers: 2, Endpoints: handle(func(_ context.Context, n *rpc.Notification) error {
			got = append(got, string(n.Payload))
			<-goOn
			return nil
		}, "info")})
		synctest.Wait()
		twice := func(n *rpc.Notification) { n.UniqueID = "twice" }
		b.put("notifications.info", notice(t, "info", "1", twice))
		b.put("notifications.info", notice(t, "info", "1", twice)) // while the first is in hand
		synctest.Wait()
		if acked, _, unacked := b.count(); acked != 0 || unacked != 2 {
			t.Errorf("%d acknowledged before the first was handled, %d in hand", acked, unacked)
		}
		close(goOn)
		synctest.Wait()
		b.put("notifications.info", notice(t, "info", "1", twice)) // after it
		b.put("notifications.info", notice(t, "info", "2", func(n *rpc.Notification) { n.UniqueID = "" }))
		b.put("notifications.info", notice(t, "info", "2", func(n *rpc.Notification) { n.UniqueID = "" }))
		synctest.Wait()
		if diff := cmp.Diff([]string{"1", "2", "2"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if acked, requeued, unacked := b.count(); acked != 5 || requeued != 0 || unacked != 0 || l.Stat().Duplicates != 2 {
			t.Errorf("%d acknowledged, %d given back, %d in hand, %+v", acked, requeued, unacked, l.Stat())
		}
	})
}

func TestAListenerIsNotMadeOfNonsense(t *testing.T) {
	b := newBroker()
	good := handle(func(context.Context, *rpc.Notification) error { return nil })
	for name, f := range map[string]func(*rpc.NotificationListenerConfig){
		"listener":      func(c *rpc.NotificationListenerConfig) { c.Listener = nil },
		"format":        func(c *rpc.NotificationListenerConfig) { c.Format = nil },
		"no endpoint":   func(c *rpc.NotificationListenerConfig) { c.Endpoints = nil },
		"workers":       func(c *rpc.NotificationListenerConfig) { c.Workers = -1 },
		"limit":         func(c *rpc.NotificationListenerConfig) { c.RequeueLimit = -1 },
		"long rests":    func(c *rpc.NotificationListenerConfig) { c.RequeueLimit, c.RequeueDelay = 11, time.Minute },
		"prefetch":      func(c *rpc.NotificationListenerConfig) { c.BatchSize, c.Prefetch = 100, 99 },
		"large batches": func(c *rpc.NotificationListenerConfig) { c.BatchSize = 65536 },
		"nobody sends":  func(c *rpc.NotificationListenerConfig) { c.DeadLetter = "dead" },
		"topic":         func(c *rpc.NotificationListenerConfig) { c.Targets = []rpc.NotificationTarget{{}} },
		"nothing to do": func(c *rpc.NotificationListenerConfig) { c.Endpoints = []rpc.NotificationEndpoint{{}} },
		"priority": func(c *rpc.NotificationListenerConfig) {
			c.Endpoints = []rpc.NotificationEndpoint{{Handle: good[0].Handle, Priorities: []string{"warning"}}}
		},
		"expression": func(c *rpc.NotificationListenerConfig) {
			c.Endpoints = []rpc.NotificationEndpoint{{Handle: good[0].Handle, Filter: rpc.NotificationFilter{EventType: "("}}}
		},
		"two groups": func(c *rpc.NotificationListenerConfig) {
			c.Endpoints = []rpc.NotificationEndpoint{{Handle: good[0].Handle, Filter: rpc.NotificationFilter{EventType: "a)|(b"}}}
		},
		"metadata": func(c *rpc.NotificationListenerConfig) {
			c.Endpoints = []rpc.NotificationEndpoint{{Handle: good[0].Handle, Filter: rpc.NotificationFilter{Metadata: map[string]string{"id": "x"}}}}
		},
	} {
		cfg := rpc.NotificationListenerConfig{Listener: b, Format: rpc.Oslo{}, Endpoints: good}
		if _, err := rpc.NewNotificationListener(cfg); err != nil {
			t.Fatal(err)
		}
		f(&cfg)
		if _, err := rpc.NewNotificationListener(cfg); err == nil {
			t.Error(name)
		}
	}
}

func TestFilters(t *testing.T) {
	n := func(n *rpc.Notification) {
		n.PublisherID, n.EventType, n.MessageID = "compute.host1", "instance.create.end", "id-1"
		n.Context = map[string]any{"user": "alice", "admin": true, "nested": map[string]any{"a/b": "deep"}}
		n.Payload = []byte(`{"state": "active", "size": 3, "none": null, "nova_object.data": {"host": "h1", "~": {"x": "y"}}, "/odd": "odd"}`)
	}
	one := func(key, expr string) map[string]string { return map[string]string{key: expr} }
	for name, c := range map[string]struct {
		filter rpc.NotificationFilter
		want   bool
	}{
		"nothing":            {rpc.NotificationFilter{}, true},
		"the beginning":      {rpc.NotificationFilter{EventType: "instance"}, true},
		"not the middle":     {rpc.NotificationFilter{EventType: "create"}, false},
		"an alternative":     {rpc.NotificationFilter{EventType: "volume|instance"}, true},
		"not inside one":     {rpc.NotificationFilter{EventType: "volume|create"}, false},
		"flags":              {rpc.NotificationFilter{EventType: "(?i)INSTANCE"}, true},
		"publisher":          {rpc.NotificationFilter{PublisherID: `compute\..*`}, true},
		"another publisher":  {rpc.NotificationFilter{PublisherID: "network"}, false},
		"one of two":         {rpc.NotificationFilter{PublisherID: "compute", EventType: "volume"}, false},
		"context":            {rpc.NotificationFilter{Context: one("user", "^ali")}, true},
		"other in context":   {rpc.NotificationFilter{Context: one("user", "bob")}, false},
		"no text in context": {rpc.NotificationFilter{Context: one("admin", ".*")}, false},
		"missing in context": {rpc.NotificationFilter{Context: one("tenant", "")}, false},
		"deep in context":    {rpc.NotificationFilter{Context: one("/nested/a~1b", "deep")}, true},
		"not in context":     {rpc.NotificationFilter{Context: one("/user/x", "")}, false},
		"payload":            {rpc.NotificationFilter{Payload: one("state", "act")}, true},
		"any text":           {rpc.NotificationFilter{Payload: one("state", "")}, true},
		"no text":            {rpc.NotificationFilter{Payload: one("size", "3")}, false},
		"null":               {rpc.NotificationFilter{Payload: one("none", "")}, false},
		"missing":            {rpc.NotificationFilter{Payload: one("host", "")}, false},
		"member of a member": {rpc.NotificationFilter{Payload: one("/nova_object.data/host", "h")}, true},
		"tilde":              {rpc.NotificationFilter{Payload: one("/nova_object.data/~0/x", "y")}, true},
		"member of a text":   {rpc.NotificationFilter{Payload: one("/state/x", "")}, false},
		"slash":              {rpc.NotificationFilter{Payload: one("/~1odd", "odd")}, true},
		"message id":         {rpc.NotificationFilter{Metadata: one("message_id", "id-")}, true},
		"another message id": {rpc.NotificationFilter{Metadata: one("message_id", "1")}, false},
		"timestamp":          {rpc.NotificationFilter{Metadata: one("timestamp", `2026-01-02 03:04:05\.000006$`)}, true},
		"all of several":     {rpc.NotificationFilter{Payload: map[string]string{"state": "a", "/~1odd": "o"}}, true},
		"all but one":        {rpc.NotificationFilter{Payload: map[string]string{"state": "a", "/~1odd": "x"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				got := false
				endpoints := handle(func(context.Context, *rpc.Notification) error { got = true; return nil }, "info")
				endpoints[0].Filter = c.filter
				listen(t, b, rpc.NotificationListenerConfig{Endpoints: endpoints})
				synctest.Wait()
				b.put("notifications.info", notice(t, "info", "{}", n))
				synctest.Wait()
				if got != c.want {
					t.Errorf("handled: %v", got)
				}
			})
		})
	}
	t.Run("a payload that is no object", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker()
			endpoints := handle(func(context.Context, *rpc.Notification) error { t.Error("handled"); return nil }, "info")
			endpoints[0].Filter.Payload = one("x", "")
			listen(t, b, rpc.NotificationListenerConfig{Endpoints: endpoints})
			synctest.Wait()
			b.put("notifications.info", notice(t, "info", `"x"`))
			synctest.Wait()
		})
	})
}

var errNotNow = errors.New("not now")

func numbers(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(i+1))
	}
	return list
}
