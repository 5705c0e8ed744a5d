package matrix

import (
	"fmt"
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
)

// alarm is a way to make a broker block everybody who publishes.
type alarm struct{ name, set, clear string }

var alarms = []alarm{
	{
		"memory alarm", `vm_memory_monitor:set_vm_memory_high_watermark(0.0000001)`,
		`vm_memory_monitor:set_vm_memory_high_watermark({absolute, "2GB"})`,
	},
	{
		"disk alarm", `rabbit_disk_monitor:set_disk_free_limit("100000GB")`,
		`rabbit_disk_monitor:set_disk_free_limit("10MB")`,
	},
}

// TestF08Alarms has the broker short of memory, then of disk, for several heartbeats:
// the router says so, takes no more than it may have in hand, and loses neither a
// connection nor, as nothing is sent again, sends anything twice. The time in which a
// confirm must come stands still.
func TestF08Alarms(t *testing.T) {
	t.Parallel()
	n := ownNode(t)
	tr := begin(t, n, 8_000, nil)
	tr.Broker += alert + "confirm_timeout = \"6s\"\n"
	tr.Window = 0
	tr.Begin(n.URL(), byKey...)
	before := reconnects(tr)
	each(tr, len(alarms), func(i int) {
		a := alarms[i]
		tr.Struck(a.name)
		eval(t, n, a.set)
		awaitBlocked(tr)
		taken := awaitStill(tr)
		hold := max(lasting, 7*time.Second).Seconds() // longer than a confirm may take
		since := tr.Router.Metric("router_amqp_blocked_seconds_total")
		harness.Await(t, a.name+" to last", func() (bool, string) {
			d := tr.Router.Metric("router_amqp_blocked_seconds_total") - since
			return d >= hold, fmt.Sprintf("%.1f s", d)
		})
		if now := tr.Metric("messages_received_total"); now != taken {
			t.Errorf("the router went on taking messages: %v, and %v before", now, taken)
		}
		nothingGone(tr)
		eval(t, n, a.clear)
		tr.Recovered()
	})
	harness.AwaitEmpty(t, n, tr.In)
	if now := reconnects(tr); now != before {
		t.Errorf("%v connections were lost by alarms", now-before)
	}
	tr.End()
}

// TestF09AlarmAndMore cuts the connections of a blocked router, and stops it: it ends
// when its time to drain is over, and what it had in hand stays in the queue.
func TestF09AlarmAndMore(t *testing.T) {
	t.Parallel()
	n := ownNode(t)
	tr := begin(t, n, 8_000, nil)
	tr.Broker += alert
	tr.Stop = "2s"
	tr.Begin(n.URL(), byKey...)
	each(tr, 2*len(alarms), func(i int) {
		a, stop := alarms[i/2], i%2 == 1
		more := "connections closed"
		if stop {
			more = "router stopped"
		}
		tr.Struck(a.name + " and " + more)
		eval(t, n, a.set)
		awaitBlocked(tr)
		if stop {
			tr.Note("SIGTERM to the end, "+a.name, "%s with drain_timeout %s", seconds(tr.Router.Terminate()), tr.Stop)
			nothingGone(tr)
			tr.Router = harness.Launch(t, tr.Config)
		} else {
			before := reconnects(tr)
			if err := n.CloseAllConnections(t.Context(), "fault"); err != nil {
				t.Fatal(err)
			}
			harness.Await(t, "the router to connect again", func() (bool, string) {
				d := reconnects(tr) - before
				return d >= 2, fmt.Sprintf("%v connections were made", d)
			})
		}
		awaitBlocked(tr)
		nothingGone(tr)
		eval(t, n, a.clear)
		tr.Recovered()
	})
	tr.End()
}

// awaitBlocked waits until the router's metrics and its readiness say that the broker
// blocks it.
func awaitBlocked(tr *harness.Trial) {
	tr.T.Helper()
	tr.Router.AwaitUnready("blocked publishing")
	if n := tr.Router.Metric("router_amqp_blocked", purpose(harness.Sending)); n != 1 {
		tr.T.Errorf("router_amqp_blocked of the sending connection is %v while readiness says blocked", n)
	}
}

// awaitStill waits until the router has taken no message for a second, and returns how
// many it has taken in all.
func awaitStill(tr *harness.Trial) (taken float64) {
	tr.T.Helper()
	since := time.Now()
	harness.Await(tr.T, "the router to take no more messages", func() (bool, string) {
		if now := tr.Metric("messages_received_total"); now != taken {
			taken, since = now, time.Now()
		}
		return time.Since(since) > time.Second, fmt.Sprintf("it has taken %v", taken)
	})
	if n := tr.Metric("inflight_messages"); n > harness.Prefetch {
		tr.T.Errorf("the router has %v messages in hand, more than its window", n)
	}
	return taken
}
