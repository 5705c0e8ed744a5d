package console

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/testkit"
)

// script is in names and bodies of the world: a page that took them for markup would
// say so on its title.
const script = `"><img src=x onerror=alert(1)><script>document.title="owned"</script>`

//go:embed testdata/router.toml
var configuration string

// world is a router that is its own broker, with somebody who keeps sending.
type world struct {
	t     testing.TB
	path  string // of the configuration
	admin string // HOST:PORT
	amqp  string
	app   *app.App
	every time.Duration // between two rounds of messages
}

func newWorld(t *testing.T, token string) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "router.toml"), admin: testkit.FreeAddress(t), amqp: testkit.FreeAddress(t), every: 20 * time.Millisecond}
	w.configure(configuration, token)
	w.start()
	t.Cleanup(func() {
		if w.app != nil {
			w.stop()
		}
	})
	return w
}

func (w *world) configure(text, token string) {
	w.t.Helper()
	head := fmt.Sprintf("[broker]\nurl = %q\n[process]\ncache_dir = %q\ndrain_timeout = \"500ms\"\n[admin]\nlisten = %q\n", "embedded://me:hidden-password@"+w.amqp+"/", cacheDir, w.admin)
	if token != "" {
		head += fmt.Sprintf("token = %q\n", token)
	}
	if err := os.WriteFile(w.path, []byte(head+text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) start() {
	w.t.Helper()
	a, err := app.New(w.t.Context(), app.Options{ConfigPath: w.path, LogOutput: io.Discard})
	if err != nil {
		w.t.Fatal(err)
	}
	w.app = a
	if err := a.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), 20*time.Second)
	defer cancel()
	if err := w.app.Stop(ctx); err != nil {
		w.t.Errorf("stop: %v", err)
	}
	w.app = nil
}

func (w *world) url() string { return "http://" + w.admin + "/" }

// load sends some messages a second to every route until the test ends, and takes
// what comes out.
func (w *world) load() {
	w.t.Helper()
	conn, err := amqp091.Dial("amqp://me:hidden-password@" + w.amqp + "/")
	if err != nil {
		w.t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		w.t.Fatal(err)
	}
	var running sync.WaitGroup
	for _, queue := range []string{"archive", "billing", "mail", "orders.other", "readings.packed", "rest", script + "out"} {
		deliveries, err := ch.Consume(queue, "", true, false, false, false, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		running.Go(func() {
			for range deliveries {
			}
		})
	}
	send, err := conn.Channel()
	if err != nil {
		w.t.Fatal(err)
	}
	stop := make(chan struct{})
	running.Go(func() {
		tick := time.NewTicker(w.every)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for _, m := range messages(n) {
				if send.Publish("", m.queue, false, false, m.Publishing) != nil {
					return // the test takes the broker away
				}
			}
		}
	})
	w.t.Cleanup(func() {
		close(stop)
		_ = conn.Close()
		running.Wait()
	})
}

// channel opens a channel on a connection of its own, which closed closes.
func (w *world) channel() (ch *amqp091.Channel, closed func()) {
	w.t.Helper()
	conn, err := amqp091.Dial("amqp://me:hidden-password@" + w.amqp + "/")
	if err != nil {
		w.t.Fatal(err)
	}
	if ch, err = conn.Channel(); err != nil {
		w.t.Fatal(err)
	}
	return ch, func() { _ = conn.Close() }
}

// reject sends messages that end as dead letters, and waits until they are there.
func (w *world) reject(n int) {
	w.t.Helper()
	ch, closed := w.channel()
	defer closed()
	for i := range n {
		body := fmt.Sprintf(`{"type":"created","id":%q}`, script)
		if err := ch.Publish("", "orders", false, false, amqp091.Publishing{MessageId: fmt.Sprint("bad-", i), ContentType: "application/json", Body: []byte(body)}); err != nil {
			w.t.Fatal(err)
		}
	}
	testkit.Await(w.t, time.Minute, "the dead letters", func() (bool, string) {
		q, err := ch.QueueDeclarePassive("dead", false, false, false, false, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		return q.Messages == n, fmt.Sprint(q.Messages)
	})
}

// remove takes a queue away.
func (w *world) remove(queue string) {
	w.t.Helper()
	ch, closed := w.channel()
	defer closed()
	if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
		w.t.Fatal(err)
	}
}

type message struct {
	queue string
	amqp091.Publishing
}

// messages are those of the nth tick.
func messages(n int) []message {
	of := func(queue, body string) message {
		return message{queue, amqp091.Publishing{
			ContentType: "application/json", MessageId: fmt.Sprintf("%s-%d", queue, n), Body: []byte(body),
			Headers: amqp091.Table{"x-customer": fmt.Sprintf("customer-%d", n%7)},
		}}
	}
	all := []message{
		of("orders", fmt.Sprintf(`{"type":%q,"id":%d}`, []string{"created", "question", "other"}[n%3], n+1)),
		of("readings", `{"temperature":21.5}`), of("readings", `{"temperature":22.5}`),
	}
	switch n % 40 {
	case 0:
		all = append(all, of(script+"in", fmt.Sprintf("%q", script)))
	case 10:
		all = append(all, of("orders", `{"type":"created","id":"`+script[4:20]+`"}`)) // not what the schema wants
	case 20:
		all = append(all, of("runaway", `{}`))
	}
	return all
}
