package rpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

func newNotifier(t *testing.T, cfg rpc.NotifierConfig) *rpc.Notifier {
	t.Helper()
	n, err := rpc.NewNotifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// notifications reads what was sent to the target.
func (b *broker) notifications(t *testing.T, target string) (list []rpc.Notification) {
	t.Helper()
	for _, env := range b.messages(target) {
		n, err := (rpc.Oslo{}).DecodeNotification(&env)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

func TestANotifierHasAllPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		n := newNotifier(t, rpc.NotifierConfig{Client: newClient(t, b, func(c *rpc.ClientConfig) { c.Layout.Exchange = "nova" }), PublisherID: "compute.host1"})
		methods := map[string]func(context.Context, rpc.Notification) error{
			"audit": n.Audit, "debug": n.Debug, "info": n.Info, "warn": n.Warn,
			"error": n.Error, "critical": n.Critical, "sample": n.With("meter.host1").Sample,
		}
		if len(methods) != len(oslo.Priorities) {
			t.Error("a priority is missing")
		}
		for priority, method := range methods {
			if err := method(t.Context(), rpc.Notification{EventType: "e", Payload: []byte(`"` + priority + `"`)}); err != nil {
				t.Error(err)
			}
		}
		if err := n.Notify(t.Context(), rpc.Notification{EventType: "e", PublisherID: "own", Priority: "odd", Payload: []byte(`"odd"`)}); err != nil {
			t.Error(err)
		}
		methods["odd"] = nil
		for priority := range methods {
			got := b.notifications(t, "notify:nova/notifications."+priority)
			if len(got) != 1 {
				t.Errorf("%s: %d notifications", priority, len(got))
				continue
			}
			publisher := map[string]string{"odd": "own", "sample": "meter.host1"}[priority]
			if publisher == "" {
				publisher = "compute.host1"
			}
			if g := got[0]; g.Priority != priority || string(g.Payload) != `"`+priority+`"` || g.PublisherID != publisher || g.Timestamp.IsZero() {
				t.Errorf("%s: %+v", priority, g)
			}
		}
		if err := n.Notify(t.Context(), rpc.Notification{EventType: "e"}); !errors.Is(err, router.ErrTarget) {
			t.Errorf("no priority: %v", err)
		}
	})
}

func TestANotifierWritesBothVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, flat := range []bool{false, true} {
			b := newBroker()
			n := newNotifier(t, rpc.NotifierConfig{Client: newClient(t, b, func(c *rpc.ClientConfig) { c.Format = rpc.Oslo{Flat: flat} }), PublisherID: "p"})
			if err := n.Info(t.Context(), rpc.Notification{EventType: "e"}); err != nil {
				t.Fatal(err)
			}
			sent := b.messages("notify:openstack/notifications.info")
			if len(sent) != 1 || strings.Contains(string(sent[0].Body), "oslo.version") == flat || sent[0].ContentType != "application/json" {
				t.Errorf("flat %v: %s", flat, sent[0].Body)
			}
		}
	})
}

func TestSeveralTopicsGetOneNotificationEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		n := newNotifier(t, rpc.NotifierConfig{Client: newClient(t, b), PublisherID: "p", Topics: []string{"a", "b", "c"}})
		if err := n.Info(t.Context(), rpc.Notification{EventType: "e"}); err != nil {
			t.Fatal(err)
		}
		ids, unique := map[string]int{}, map[string]int{}
		for _, topic := range []string{"a", "b", "c"} {
			for _, g := range b.notifications(t, "notify:openstack/"+topic+".info") {
				ids[g.MessageID]++
				unique[g.UniqueID]++
			}
		}
		if len(ids) != 1 || len(unique) != 3 {
			t.Errorf("message ids %v, unique ids %v", ids, unique)
		}

		refused := errors.New("no space")
		b.change(func() {
			b.answer = func(target router.Target, _ *router.Envelope) error {
				if target.Topic == "b" {
					return nil
				}
				return errors.Join(router.ErrUnsendable, refused)
			}
		})
		err := n.Warn(t.Context(), rpc.Notification{EventType: "e"})
		if !errors.Is(err, refused) || !strings.Contains(err.Error(), "a.warn") || !strings.Contains(err.Error(), "c.warn") || strings.Contains(err.Error(), "b.warn") {
			t.Errorf("%v", err)
		}
		if got := b.notifications(t, "notify:openstack/b.warn"); len(got) != 1 {
			t.Errorf("the topic that works got %d", len(got))
		}
	})
}

func TestANotifierWithoutQueuesSaysThatNobodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		n := newNotifier(t, rpc.NotifierConfig{Client: newClient(t, b), PublisherID: "p", NoQueues: true})
		if err := n.Info(t.Context(), rpc.Notification{EventType: "e"}); !errors.Is(err, rpc.ErrNoListener) {
			t.Errorf("%v", err)
		}
		if declared := b.declarations(func(t rpc.Topology) bool { return len(t.Queues) > 0 }); declared != 0 {
			t.Errorf("%d queues were declared", declared)
		}
		b.change(func() { b.queues["notifications.info"] = nil })
		if err := n.Info(t.Context(), rpc.Notification{EventType: "e"}); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(2, b.declarations(func(t rpc.Topology) bool { return len(t.Exchanges) > 0 })); diff != "" {
			t.Errorf("declarations of the exchange, once and after the failure:\n%s", diff)
		}
	})
}

func TestANotifierSendsTheContextOfCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		n := newNotifier(t, rpc.NotifierConfig{Client: newClient(t, b), PublisherID: "p"})
		own := map[string]any{"user": "u1", "tenant": "t1"}
		if err := n.Info(rpc.WithContext(t.Context(), map[string]any{"user": "u2"}), rpc.Notification{EventType: "e", Context: own}); err != nil {
			t.Fatal(err)
		}
		want := []map[string]any{{"user": "u2", "tenant": "t1"}}
		var got []map[string]any
		for _, n := range b.notifications(t, "notify:openstack/notifications.info") {
			got = append(got, n.Context)
		}
		if diff := cmp.Diff(want, got); diff != "" || own["user"] != "u1" {
			t.Errorf("(-want +got):\n%s%v", diff, own)
		}
	})
}

func TestANotifierReportsAnUnreachableBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		b.stall = make(chan struct{})
		n := newNotifier(t, rpc.NotifierConfig{Client: newClient(t, b), PublisherID: "p", Topics: []string{"a", "b"}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.Info(ctx, rpc.Notification{EventType: "e"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestANotifierIsNotMadeOfNonsense(t *testing.T) {
	c := newClient(t, newBroker())
	for name, cfg := range map[string]rpc.NotifierConfig{
		"no client": {},
		"topic":     {Client: c, Topics: []string{"good", ""}},
		"exchange":  {Client: c, Exchange: "a/b"},
	} {
		if _, err := rpc.NewNotifier(cfg); err == nil {
			t.Error(name)
		}
	}
}
