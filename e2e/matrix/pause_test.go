package matrix

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF07BrokerPaused stops the broker with SIGSTOP: its connections stay and nothing
// answers, neither on them nor on new ones. The router notices, keeps trying, goes on
// when the broker does, and is left with no more goroutines than before. SIGTERM ends
// it meanwhile, whether it has noticed or not.
func TestF07BrokerPaused(t *testing.T) {
	t.Parallel()
	n := ownNode(t)
	tr := begin(t, n, 8_000, single)
	tr.Broker += alert
	tr.Stop = "2s"
	tr.Begin(n.URL(), byKey...)
	tr.Until(100)
	before := tr.Router.Resources().Goroutines

	each(tr, 3, func(i int) {
		notice := i != 2
		tr.Struck([]string{"broker paused", "broker paused, router stopped when it has noticed", "broker paused and router stopped"}[i])
		pause(t, n)
		begin, logged := time.Now(), tr.Router.Logged()
		if notice {
			awaitConnections(tr, 0)
			tr.Note("noticed in", "%s", seconds(time.Since(begin)))
			tr.Router.AwaitUnready("not connected")
			tr.Router.AwaitLine("that the broker does not answer a new connection", logged, func(l harness.LogLine) bool {
				return strings.Contains(l.Raw, "no answer within")
			})
			time.Sleep(time.Until(begin.Add(lasting)))
		}
		if i > 0 {
			tr.Note(fmt.Sprintf("SIGTERM to the end, noticed: %t", notice), "%s with drain_timeout %s", seconds(tr.Router.Terminate()), tr.Stop)
		}
		proceed(t, n)
		if i > 0 {
			unnoticing(t, tr.Config)
			tr.Restart(time.Now())
			return
		}
		tr.Recovered()
		harness.Await(t, "the goroutines of the paused time to end", func() (bool, string) {
			now := tr.Router.Resources().Goroutines
			return now <= before+2, fmt.Sprintf("%d goroutines, %d before", now, before)
		})
	})
	tr.End()
}

// TestF07BrokerPausedInAWrite has bodies that no socket holds, so that the broker
// stands still in the middle of one: a write that does not end must neither keep the
// router from noticing nor from ending.
func TestF07BrokerPausedInAWrite(t *testing.T) {
	t.Parallel()
	n := ownNode(t)
	load := harness.Load{Seed: harness.Seed(t), Count: 12, Keys: 1, Pad: 12 << 20}
	tr := harness.NewTrial(t, n, load)
	tr.Broker += alert
	tr.Stop = "2s"
	tr.BeginWith(n.URL(), plain("trial", tr.In, "queue:"+tr.Out, `max_message = "16MiB"`))
	tr.Until(3)
	tr.Struck("broker paused in a write")
	pause(t, n)
	tr.Note("noticed in", "%s", seconds(awaitConnections(tr, 0)))
	proceed(t, n)
	tr.Recovered()
	tr.Until(7)
	tr.Struck("broker paused in a write, router stopped")
	pause(t, n)
	tr.Note("SIGTERM to the end", "%s with drain_timeout %s", seconds(tr.Router.Terminate()), tr.Stop)
	proceed(t, n)
	tr.Restart(time.Now())
	tr.End()
}

// unnoticing has the next router notice nothing for a minute, so that only the end of its
// time to drain can end it.
func unnoticing(t *testing.T, config string) {
	t.Helper()
	text, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, bytes.Replace(text, []byte(alert), []byte("heartbeat = \"60s\"\nwrite_timeout = \"60s\"\n"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func pause(t *testing.T, n *rabbitnode.Node) {
	t.Helper()
	if err := n.Pause(); err != nil {
		t.Fatal(err)
	}
}

func proceed(t *testing.T, n *rabbitnode.Node) {
	t.Helper()
	if err := n.Continue(); err != nil {
		t.Fatal(err)
	}
}
