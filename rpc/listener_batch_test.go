package rpc_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/rpc"
)

// record is what a handler got. It is safe for concurrent use.
type record struct {
	mu   sync.Mutex // protects list
	list []string
}

// add appends what, and returns how many there are.
func (r *record) add(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, what)
	return len(r.list)
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// batches is a handler that remembers what it got, as text, and answers with
// answer.
func batches(got *record, answer func(try int, batch []string) error) rpc.BatchHandler {
	return func(_ context.Context, batch []*rpc.Notification) error {
		var list []string
		for _, n := range batch {
			list = append(list, string(n.Payload))
		}
		try := got.add(fmt.Sprint(batch[0].Priority, list))
		if answer == nil {
			return nil
		}
		return answer(try, list)
	}
}

func sortedBatch(s string) string {
	list := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(s, "info["), "]"))
	slices.Sort(list)
	return fmt.Sprint("info", list)
}

func TestBatchesAreOfOnePriorityAndBoundedInSizeAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var heard record
		l, _ := listen(t, b, rpc.NotificationListenerConfig{
			Pool: "pool", BatchSize: 3, BatchTimeout: 5 * time.Second,
			Endpoints: []rpc.NotificationEndpoint{{Batch: batches(&heard, nil)}},
		})
		synctest.Wait()
		for i, priority := range []string{"info", "warn", "info", "INFO", "info"} {
			b.put("pool", notice(t, priority, fmt.Sprint(i)))
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"info[0 2 3]"}, heard.all()); diff != "" {
			t.Errorf("when full (-want +got):\n%s", diff)
		}
		time.Sleep(4 * time.Second)
		b.put("pool", notice(t, "info", "5"))
		synctest.Wait()
		if got := heard.all(); len(got) != 1 {
			t.Errorf("early: %v", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := heard.all(); len(got) != 3 || got[1] != "warn[1]" && got[2] != "warn[1]" || got[1] != "info[4 5]" && got[2] != "info[4 5]" {
			t.Errorf("in time: %v", got)
		}
		if acked, _, unacked := b.count(); acked != 6 || unacked != 0 || l.Stat().Handled != 6 {
			t.Errorf("%d acknowledged, %d in hand, %+v", acked, unacked, l.Stat())
		}
	})
}

func TestABatchFailsInPartOrWhole(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"part":      {rpc.BatchError{0: errNotNow, 2: errNotNow}, []string{"info[1 2 3 4]", "info[1 3]"}},
		"whole":     {errNotNow, []string{"info[1 2 3 4]", "info[1 2 3 4]"}},
		"wrapped":   {fmt.Errorf("of another: %w", rpc.BatchError{0: errNotNow}), []string{"info[1 2 3 4]", "info[1 2 3 4]"}},
		"no member": {rpc.BatchError{4: errNotNow}, []string{"info[1 2 3 4]", "info[1 2 3 4]"}},
		"none":      {rpc.BatchError{}, []string{"info[1 2 3 4]"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroker()
				var heard record
				listen(t, b, rpc.NotificationListenerConfig{BatchSize: 4, Endpoints: []rpc.NotificationEndpoint{{
					Priorities: []string{"info"}, Batch: batches(&heard, func(try int, _ []string) error {
						if try == 1 {
							return c.err
						}
						return nil
					}),
				}}})
				synctest.Wait()
				for _, i := range numbers(4) {
					b.put(infos, notice(t, "info", i))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				got := heard.all()
				if len(got) == 2 { // the rests end together, in any order
					got[1] = sortedBatch(got[1])
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if acked, requeued, unacked := b.count(); acked != 4 || requeued != 0 || unacked != 0 {
					t.Errorf("%d acknowledged, %d given back, %d in hand", acked, requeued, unacked)
				}
			})
		})
	}
}

func TestALayoutsPrefetchBoundsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var heard record
		listen(t, b, rpc.NotificationListenerConfig{
			Layout: rpc.Layout{Prefetch: 2}, BatchSize: 5, BatchTimeout: time.Hour,
			Endpoints: []rpc.NotificationEndpoint{{Batch: batches(&heard, nil)}},
		})
		synctest.Wait()
		for _, i := range numbers(4) {
			b.put(infos, notice(t, "info", i))
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"info[1 2]", "info[3 4]"}, heard.all()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestEndpointsOfBothKindsShareABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		var heard record
		var single []string
		listen(t, b, rpc.NotificationListenerConfig{BatchSize: 3, Endpoints: []rpc.NotificationEndpoint{
			{Priorities: []string{"info"}, Handle: func(_ context.Context, n *rpc.Notification) error {
				single = append(single, string(n.Payload))
				if len(single) == 2 {
					panic("oops")
				}
				return nil
			}},
			{Priorities: []string{"info"}, Filter: rpc.NotificationFilter{EventType: "e"}, Batch: batches(&heard, nil)},
		}})
		synctest.Wait()
		other := func(n *rpc.Notification) { n.EventType = "other" }
		b.put(infos, notice(t, "info", "1"))
		b.put(infos, notice(t, "info", "2"))
		b.put(infos, notice(t, "info", "3", other))
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"1", "2", "3", "2"}, single); diff != "" {
			t.Errorf("one by one (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"info[1]", "info[2]"}, heard.all()); diff != "" {
			t.Errorf("the other (-want +got):\n%s", diff)
		}
	})
}

func TestAStoppingListenerGivesBackWhatItCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		_, stop := listen(t, b, rpc.NotificationListenerConfig{BatchSize: 3, BatchTimeout: time.Hour, Endpoints: []rpc.NotificationEndpoint{{
			Batch: func(context.Context, []*rpc.Notification) error { t.Error("handled"); return nil },
		}}})
		synctest.Wait()
		b.put(infos, notice(t, "info", "1"))
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if _, requeued, unacked := b.count(); requeued != 1 || unacked != 0 {
			t.Errorf("%d given back, %d in hand", requeued, unacked)
		}
	})
}

func TestABatchErrorTellsTheFirst(t *testing.T) {
	err := rpc.BatchError{7: errNotNow, 9: fmt.Errorf("other")}
	if diff := cmp.Diff("2 of the batch failed, number 7: not now", err.Error()); diff != "" {
		t.Error(diff)
	}
}
