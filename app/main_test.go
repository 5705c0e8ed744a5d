package app_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/wasmhost/compile"
)

// cacheDir is where all tests keep compiled filters.
var cacheDir string

type suite struct{ m *testing.M }

func TestMain(m *testing.M) {
	compile.Main()
	testbroker.Main(suite{m})
}

// Run runs the tests with a cache of their own.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "router-app-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	defer http.DefaultClient.CloseIdleConnections()
	cacheDir = filepath.Join(dir, "cache")
	return s.m.Run()
}

// patience bounds every wait. It is no measure: nothing that works takes as
// long.
const patience = time.Minute

// await polls until done says yes; its text says in what state it is.
func await(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	testkit.Await(t, patience, what, done)
}

// head is the start of every configuration: a broker, and what else is needed
// so that tests do not meet.
func head(url string) string {
	return fmt.Sprintf("[broker]\nurl = %q\n[process]\ncache_dir = %q\n[admin]\nlisten = \"\"\n[log]\nformat = \"json\"\n", url, cacheDir)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// log collects what is logged; it is safe for concurrent use.
type log struct {
	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// instance is an App under test with its configuration file.
type instance struct {
	*app.App
	t    *testing.T
	path string
	log  *log
}

// prepare makes an instance without an App, in a directory of its own.
func prepare(t *testing.T) *instance {
	t.Helper()
	return &instance{t: t, path: filepath.Join(t.TempDir(), "router.toml"), log: new(log)}
}

// build makes an App; it is stopped, and must be able to, when the test ends.
func build(t *testing.T, text string) *instance {
	t.Helper()
	in := prepare(t)
	in.build(text)
	return in
}

func (in *instance) build(text string) {
	t := in.t
	t.Helper()
	write(t, in.path, text)
	a, err := app.New(t.Context(), app.Options{ConfigPath: in.path, LogOutput: in.log})
	if err != nil {
		t.Fatal(err)
	}
	in.App = a
	t.Cleanup(func() {
		in.stop()
		if t.Failed() {
			t.Logf("log:\n%s", in.log)
		}
	})
}

// stop stops the App. That it has to hurry at the deadline is a failure.
func (in *instance) stop() {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := in.Stop(ctx); err != nil {
		in.t.Errorf("Stop: %v", err)
	}
}

// start makes and starts an App and returns when all its routes consume.
func start(t *testing.T, text string) *instance {
	t.Helper()
	in := build(t, text)
	if err := in.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.ready()
	return in
}

func (in *instance) ready() {
	in.t.Helper()
	await(in.t, "all routes to consume", func() (bool, string) {
		ok, reasons := in.Ready()
		return ok, strings.Join(reasons, "; ")
	})
}

// reload writes a configuration and reloads.
func (in *instance) reload(text string) error {
	in.t.Helper()
	write(in.t, in.path, text)
	return in.Reload(in.t.Context())
}

// mustReload reloads and returns when all routes consume.
func (in *instance) mustReload(text string) {
	in.t.Helper()
	if err := in.reload(text); err != nil {
		in.t.Fatalf("Reload: %v", err)
	}
	in.ready()
}

// consumer returns who consumes a queue, "" for nobody.
func consumer(t *testing.T, at *testbroker.Broker, queue string) string {
	t.Helper()
	all, err := at.Consumers(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

// client is the world outside of the router.
type client struct {
	t  *testing.T
	ch *amqp091.Channel
}

func dial(t *testing.T, at *testbroker.Broker) *client {
	t.Helper()
	conn, err := amqp091.Dial(at.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, ch}
}

// queues declares queues of fresh names.
func (c *client) queues(names ...string) []string {
	c.t.Helper()
	made := make([]string, len(names))
	for i, name := range names {
		made[i] = rabbitnode.Queue(c.t, name)
		if _, err := c.ch.QueueDeclare(made[i], true, false, false, false, nil); err != nil {
			c.t.Fatal(err)
		}
	}
	return made
}

func (c *client) publish(queue, body string) {
	c.t.Helper()
	err := c.ch.PublishWithContext(c.t.Context(), "", queue, false, false, amqp091.Publishing{
		MessageId: body, ContentType: "application/json", Body: []byte(body),
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// arrives returns the body of the next message in a queue.
func (c *client) arrives(queue string) string {
	c.t.Helper()
	var body string
	await(c.t, "a message in "+queue, func() (bool, string) {
		d, ok, err := c.ch.Get(queue, true)
		if err != nil {
			c.t.Fatal(err)
		}
		body = string(d.Body)
		return ok, "it is empty"
	})
	return body
}
