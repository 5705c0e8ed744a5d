package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

const infos = "notifications.info"

func TestAFailedNotificationComesAgainWithoutSpinningOrBlocking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var heard record
		l, _ := listen(t, b, rpc.NotificationListenerConfig{Endpoints: handle(func(_ context.Context, n *rpc.Notification) error {
			try := heard.add(string(n.Payload))
			switch {
			case string(n.Payload) == "2" && try < 5:
				return errNotNow
			case string(n.Payload) == "3" && try < 7:
				panic("oops")
			}
			return nil
		}, "info")})
		synctest.Wait()
		for _, i := range numbers(4) {
			b.put(infos, notice(t, "info", i))
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"1", "2", "3", "4"}, heard.all()); diff != "" {
			t.Errorf("at once (-want +got):\n%s", diff)
		}
		if acked, requeued, unacked := b.count(); acked != 2 || requeued != 0 || unacked != 2 || l.Stat().Resting != 2 {
			t.Errorf("%d acknowledged, %d given back, %d in hand, %+v", acked, requeued, unacked, l.Stat())
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := heard.all(); len(got) != 7 || strings.Count(strings.Join(got, ""), "2") != 2 || strings.Count(strings.Join(got, ""), "3") != 3 {
			t.Errorf("later: %v", got)
		}
		if diff := cmp.Diff(rpc.NotificationStat{Received: 4, Handled: 4, Failed: 3, Panics: 2}, l.Stat()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestOnlyTheEndpointThatFailedIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var got []string
		endpoint := func(name string, fails int) rpc.NotificationEndpoint {
			return rpc.NotificationEndpoint{Priorities: []string{"info"}, Handle: func(context.Context, *rpc.Notification) error {
				got = append(got, name)
				if fails--; fails >= 0 {
					return errNotNow
				}
				return nil
			}}
		}
		listen(t, b, rpc.NotificationListenerConfig{Endpoints: []rpc.NotificationEndpoint{endpoint("a", 1), endpoint("b", 2), endpoint("c", 0)}})
		synctest.Wait()
		b.put(infos, notice(t, "info", "1"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff("a a b b b c", strings.Join(got, " ")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAfterTheLimitANotificationIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var at []time.Duration
		start := time.Now()
		l, _ := listen(t, b, rpc.NotificationListenerConfig{RequeueLimit: 2, RequeueDelay: 3 * time.Second, Endpoints: handle(func(context.Context, *rpc.Notification) error {
			at = append(at, time.Since(start))
			return errNotNow
		}, "info")})
		synctest.Wait()
		b.put(infos, notice(t, "info", "1"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]time.Duration{0, 3 * time.Second, 6 * time.Second}, at); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
		if acked, _, unacked := b.count(); acked != 1 || unacked != 0 || l.Stat().Dropped != 1 {
			t.Errorf("%d acknowledged, %d in hand, %+v", acked, unacked, l.Stat())
		}
	})
}

func TestWhatIsGivenUpOrUnreadableBecomesADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		l, _ := listen(t, b, rpc.NotificationListenerConfig{
			RequeueLimit: 1, DeadLetter: "dead", Client: newClient(t, b),
			Endpoints: handle(func(context.Context, *rpc.Notification) error { return errors.New("bad\nluck") }, "info"),
		})
		synctest.Wait()
		first := notice(t, "info", "1")
		first.Expiration, first.UserID = "60000", "somebody"
		first.SetHeader("CC", []any{"copy"})
		first.SetHeader("mine", "kept")
		b.put(infos, first)
		b.put(infos, router.NewEnvelope(nil, []byte("no JSON")))
		time.Sleep(time.Minute)
		synctest.Wait()
		letters := b.messages("queue:dead")
		if len(letters) != 2 {
			t.Fatalf("%d dead letters, %+v", len(letters), l.Stat())
		}
		bad, old := letters[0], letters[1]
		if string(bad.Body) != "no JSON" || bad.Headers()[router.HeaderReason] != "malformed" {
			t.Errorf("unreadable: %s %v", bad.Body, bad.Headers())
		}
		headers := maps.Clone(old.Headers())
		if _, ok := headers[router.HeaderFirstSeen].(time.Time); !ok {
			t.Errorf("first seen: %v", headers[router.HeaderFirstSeen])
		}
		delete(headers, router.HeaderFirstSeen)
		want := map[string]any{
			router.HeaderReason: "attempts", router.HeaderError: `bad\nluck`, router.HeaderAttempts: int64(2), router.HeaderQueue: infos,
			router.HeaderExchange: "", router.HeaderRoutingKey: infos, router.HeaderExpiration: "60000", router.HeaderUserID: "somebody",
			router.HeaderCC: []any{"copy"}, "mine": "kept",
		}
		if diff := cmp.Diff(want, headers); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		if string(old.Body) != string(first.Body) || old.ContentType != first.ContentType || old.Expiration != "" || old.UserID != "" {
			t.Errorf("%s %+v", old.Body, old.Properties)
		}
		if diff := cmp.Diff(rpc.NotificationStat{Received: 2, Failed: 2, Malformed: 1, DeadLetters: 2}, l.Stat()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// laterFormat wants to read what it is given again a few times.
type laterFormat struct {
	rpc.NotificationFormat
	times *atomic.Int64
}

func (f laterFormat) DecodeNotification(env *router.Envelope) (rpc.Notification, error) {
	if f.times.Add(-1) >= 0 {
		return rpc.Notification{}, fmt.Errorf("key not there yet: %w", rpc.ErrAgain)
	}
	return f.NotificationFormat.DecodeNotification(env)
}

func TestWhatIsToBeReadLaterRests(t *testing.T) {
	for name, c := range map[string]struct {
		times, limit int
		want         rpc.NotificationStat
	}{
		"in time": {2, 2, rpc.NotificationStat{Received: 1, Failed: 2, Handled: 1}},
		"never":   {9, 2, rpc.NotificationStat{Received: 1, Failed: 3, Dropped: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				var times atomic.Int64
				times.Store(int64(c.times))
				l, _ := listen(t, b, rpc.NotificationListenerConfig{
					Format: laterFormat{rpc.Oslo{}, &times}, RequeueLimit: c.limit, BatchSize: 2,
					Endpoints: handle(func(context.Context, *rpc.Notification) error { return nil }, "info"),
				})
				synctest.Wait()
				b.put(infos, notice(t, "info", "1"))
				synctest.Wait()
				if st := l.Stat(); st.InHand != 1 || st.Resting != 1 {
					t.Errorf("%+v", st)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if diff := cmp.Diff(c.want, l.Stat()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if acked, _, unacked := b.count(); acked != 1 || unacked != 0 {
					t.Errorf("%d acknowledged, %d in hand", acked, unacked)
				}
			})
		})
	}
}

func TestADeadLetterThatIsNotTakenIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		calls := 0
		l, _ := listen(t, b, rpc.NotificationListenerConfig{
			RequeueLimit: 1, DeadLetter: "dead", Client: newClient(t, b),
			Endpoints: handle(func(context.Context, *rpc.Notification) error { calls++; return errNotNow }, "info"),
		})
		synctest.Wait()
		var full atomic.Bool
		full.Store(true)
		b.change(func() {
			b.answer = func(target router.Target, _ *router.Envelope) error {
				if full.Load() && target.Queue == "dead" {
					return router.ErrUnsendable
				}
				return nil
			}
		})
		b.put(infos, notice(t, "info", "1"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if acked, _, unacked := b.count(); acked != 0 || unacked != 1 || l.Stat().DeadLetters != 0 {
			t.Errorf("while refused: %d acknowledged, %d in hand, %+v", acked, unacked, l.Stat())
		}
		full.Store(false)
		b.drop("dead") // is declared again
		time.Sleep(time.Minute)
		synctest.Wait()
		if acked, _, unacked := b.count(); acked != 1 || unacked != 0 || l.Stat().DeadLetters != 1 || calls != 2 {
			t.Errorf("%d acknowledged, %d in hand, %d calls, %+v", acked, unacked, calls, l.Stat())
		}
	})
}

func TestAStoppingListenerGivesFailedNotificationsBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		_, stop := listen(t, b, rpc.NotificationListenerConfig{
			RequeueDelay: 5 * time.Minute, Endpoints: handle(func(context.Context, *rpc.Notification) error { return errNotNow }, "info"),
		})
		synctest.Wait()
		b.put(infos, notice(t, "info", "1"))
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

func TestWhatFailsForLongGoesBackToTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		l, _ := listen(t, b, rpc.NotificationListenerConfig{
			RequeueDelay: time.Minute, Endpoints: handle(func(context.Context, *rpc.Notification) error { return errNotNow }, "info"),
		})
		synctest.Wait()
		b.put(infos, notice(t, "info", "1"))
		time.Sleep(rpc.MaxHold)
		synctest.Wait()
		if _, requeued, unacked := b.count(); requeued != 0 || unacked != 1 {
			t.Errorf("at %v: %d given back, %d in hand", rpc.MaxHold, requeued, unacked)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, requeued, unacked := b.count(); requeued != 1 || unacked != 1 || l.Stat().Received != 2 {
			t.Errorf("later: %d given back, %d in hand, %+v", requeued, unacked, l.Stat())
		}
	})
}

func TestALostConnectionLosesAndRepeatsNothing(t *testing.T) {
	for name, id := range map[string]string{"with an id": "id", "without one": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				start, got := time.Now(), []string(nil)
				l, _ := listen(t, b, rpc.NotificationListenerConfig{RequeueDelay: time.Minute, Endpoints: handle(func(_ context.Context, n *rpc.Notification) error {
					got = append(got, fmt.Sprint(string(n.Payload), " ", n.Origin.Redelivered, " ", time.Since(start)))
					if len(got) == 1 {
						return errNotNow
					}
					return nil
				}, "info")})
				synctest.Wait()
				b.put(infos, notice(t, "info", "1", func(n *rpc.Notification) { n.UniqueID = id }))
				synctest.Wait()
				b.lose()
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				// With an id it is known when it comes again, and goes on resting.
				want := []string{"1 false 0s", "1 true 1m0s"}
				if id == "" {
					want[1] = "1 true 0s"
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if acked, _, unacked := b.count(); acked != 1 || unacked != 0 || l.Stat().InHand != 0 {
					t.Errorf("%d acknowledged, %d in hand, %+v", acked, unacked, l.Stat())
				}
			})
		})
	}
}
