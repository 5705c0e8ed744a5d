package main

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// A replay that is killed at any moment has lost nothing: what is not in the target
// is still a dead letter, and not more than what was on its way is both.
func TestAKilledReplayLosesNothing(t *testing.T) {
	node := rabbitnode.Shared(t)
	conn, err := amqp091.Dial(node.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	in := rabbitnode.Queue(t)
	dead := in + ".dead"
	for _, q := range []string{in, dead} {
		if _, err := ch.QueueDeclare(q, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = ch.QueueDelete(q, false, false, false) }()
	}
	const n = 2000
	for i := range n {
		p := amqp091.Publishing{MessageId: fmt.Sprint(i), DeliveryMode: 2, Headers: amqp091.Table{
			"x-router-reason": "trap", "x-router-route": "r", "x-router-queue": in,
		}}
		if err := ch.Publish("", dead, true, false, p); err != nil {
			t.Fatal(err)
		}
	}
	ready := func(queue string) int {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		return q.Messages
	}
	await := func(what string, done func() bool) {
		for end := time.Now().Add(patience); !done(); {
			if time.Now().After(end) {
				t.Fatalf("%s: %d letters, %d sent", what, ready(dead), ready(in))
			}
		}
	}
	replay := func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(binDir, "router"), append([]string{"dead-letters", "replay", dead, "--all"}, args...)...)
		cmd.Env = append(environment(), "ROUTER_URL="+node.URL())
		return cmd
	}
	await("the letters are there", func() bool { return ready(dead) == n })
	const kills = 4
	for k := range kills {
		before := ready(in)
		cmd := replay()
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		await("it replays", func() bool { return ready(in) > before+20 })
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		// Until the broker knows, the letters are still in the dead process's hands.
		await("its connections have ended", func() bool {
			open, err := node.Connections(t.Context(), "router-replay")
			return err == nil && open == 0
		})
		await("what it had in hand has gone back", func() bool { return ready(dead)+ready(in) >= n })
		if left, sent := ready(dead), ready(in); left == 0 || left+sent > n+32*(k+1) {
			t.Errorf("after kill %d: %d letters and %d sent of %d", k+1, left, sent, n)
		}
	}
	out, err := replay().CombinedOutput()
	if err != nil || !strings.Contains(string(out), "sent again, 0 stay") {
		t.Fatalf("%v: %s", err, out)
	}
	count := map[string]int{}
	for {
		m, ok, err := ch.Get(in, true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		count[m.MessageId]++
	}
	twice := 0
	for i := range n {
		switch c := count[fmt.Sprint(i)]; c {
		case 0:
			t.Errorf("letter %d is lost", i)
		default:
			twice += c - 1
		}
	}
	if twice > 32*kills || ready(dead) != 0 {
		t.Errorf("%d came twice, %d letters are left", twice, ready(dead))
	}
	t.Logf("%d kills, %d letters, none lost, %d came twice", kills, n, twice)
}
