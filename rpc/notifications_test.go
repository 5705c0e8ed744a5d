package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// listen starts a listener to the queue and returns how to stop it.
func listen(t *testing.T, b *broker, queue string, handler rpc.NotificationHandler, change ...func(*rpc.NotificationListenerConfig)) (*rpc.NotificationListener, func() error) {
	t.Helper()
	cfg := rpc.NotificationListenerConfig{Listener: b, Format: rpc.Oslo{}}
	for _, f := range change {
		f(&cfg)
	}
	l, err := rpc.NewNotificationListener(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- l.Listen(ctx, []router.Source{{Queue: queue}}, handler) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-result
	}
	t.Cleanup(func() { _ = stop() })
	return l, stop
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
				c := newClient(t, b, func(c *rpc.ClientConfig) { c.Format = format })
				if err := c.Notify(t.Context(), router.Target{Kind: router.TargetNotify, Topic: "notifications", Priority: "warn"}, sent); err != nil {
					t.Fatal(err)
				}
				var got []rpc.Notification
				listen(t, b, "notifications.warn", func(_ context.Context, n *rpc.Notification) error {
					got = append(got, *n)
					return nil
				}, func(c *rpc.NotificationListenerConfig) { c.Format = format })
				synctest.Wait()
				want := sent
				want.Priority = "warn"
				want.Origin = router.Origin{Queue: "notifications.warn", Exchange: "openstack", RoutingKey: "notifications.warn"}
				if diff := cmp.Diff([]rpc.Notification{want}, got, cmpopts.IgnoreFields(rpc.Notification{}, "MessageID", "UniqueID")); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if len(got) == 1 && (len(got[0].MessageID) != 36 || got[0].UniqueID == "") {
					t.Errorf("ids %q %q", got[0].MessageID, got[0].UniqueID)
				}
				if acked, _, _ := b.count(); acked != 1 {
					t.Errorf("%d acknowledged", acked)
				}
			})
		})
	}
}

func TestAFailedNotificationComesAgainWithoutSpinning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("q")
		var got []string
		l, _ := listen(t, b, "q", func(_ context.Context, n *rpc.Notification) error {
			got = append(got, string(n.Payload))
			switch {
			case string(n.Payload) == "2" && len(got) < 4:
				return errors.New("not now")
			case string(n.Payload) == "3" && len(got) < 6:
				panic("oops")
			}
			return nil
		})
		for i := range 4 {
			env, err := (rpc.Oslo{}).EncodeNotification(rpc.Notification{EventType: "e", PublisherID: "p", Payload: fmt.Append(nil, i+1)})
			if err != nil {
				t.Fatal(err)
			}
			b.put("q", env)
		}
		b.put("q", router.NewEnvelope(nil, []byte(`{"method": "no notification"}`)))
		start := time.Now()
		synctest.Wait()
		if len(got) != 2 {
			t.Errorf("at once: %v", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"1", "2", "3", "2", "3", "4", "3"}, got); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", time.Since(start), diff)
		}
		if diff := cmp.Diff(rpc.NotificationStat{Malformed: 1, Again: 3}, l.Stat(), cmpopts.IgnoreFields(rpc.NotificationStat{}, "Received")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAStoppingListenerGivesFailedNotificationsBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("q")
		_, stop := listen(t, b, "q", func(context.Context, *rpc.Notification) error { return errors.New("never") },
			func(c *rpc.NotificationListenerConfig) { c.RequeueDelay = time.Hour })
		env, _ := (rpc.Oslo{}).EncodeNotification(rpc.Notification{EventType: "e", PublisherID: "p"})
		b.put("q", env)
		synctest.Wait()
		start := time.Now()
		if err := stop(); err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, requeued, unacked := b.count(); requeued != 1 || unacked != 0 {
			t.Errorf("%d given back, %d in hand", requeued, unacked)
		}
	})
}
