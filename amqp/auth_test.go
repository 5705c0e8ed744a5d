package amqp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// logBuffer is an io.Writer for a logger of several goroutines.
type logBuffer struct {
	mu sync.Mutex // protects b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var retryIn = regexp.MustCompile(`retry_in="?([0-9a-zµ.]+)`)

func TestARefusedLoginIsExplainedWithoutThePassword(t *testing.T) {
	t.Parallel() // the broker takes its time to refuse
	testbroker.Both(t, testARefusedLoginIsExplainedWithoutThePassword)
}

func testARefusedLoginIsExplainedWithoutThePassword(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	for what, cfg := range map[string]amqp.Config{
		"login":        {URLs: []string{"amqp://guest:s3cr3t%2Fcanary%3F@" + at.Addr() + "/"}},
		"virtual host": {URLs: []string{at.URL()}, VHost: "no such"},
	} {
		var log logBuffer
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		b := newBroker(t, at, cfg)
		c := listen(t, b, router.Source{Queue: "any"}) // waits: the login may mend
		err := b.Connect(ctx)                          // the broker takes 3 s to refuse a login
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("connect = %v, want %q in it", err, what)
		}
		waitFor(ctx, t, "the listener is refused", func() bool { return stat(b, "listen any").LastError != "" })
		if err := c.end(); err != nil {
			t.Errorf("listen = %v", err)
		}
		waitFor(ctx, t, "it is logged", func() bool { return strings.Contains(log.String(), "retry_in") })
		for _, m := range retryIn.FindAllStringSubmatch(log.String(), -1) {
			if wait, err := time.ParseDuration(m[1]); err != nil || wait < 5*time.Second {
				t.Errorf("%s: it is tried again in %s", what, m[1])
			}
		}
		for _, text := range []string{err.Error(), log.String(), fmt.Sprintf("%+v", b.Stat())} {
			if strings.Contains(text, "canary") {
				t.Errorf("the password is shown: %s", text)
			}
		}
	}
}

// Only RabbitMQ has permissions.
func TestMissingPermissionsAreExplained(t *testing.T) {
	at := testbroker.RabbitMQ(t)
	ctx := testContext(t)
	node := at.Node
	name := rabbitnode.Queue(t)
	ch := channel(t, node.URL())
	declareQueue(t, ch, name, nil)
	if err := ch.ExchangeDeclare(name, "fanout", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ch.ExchangeDelete(name, false, false) })
	for _, call := range []string{
		`rabbit_auth_backend_internal:add_user(<<"weak">>, <<"weak">>, <<"test">>)`,
		`rabbit_auth_backend_internal:set_permissions(<<"weak">>, <<"/">>, <<"^none$">>, <<"^(amq\\.default)$">>, <<"^none$">>, <<"test">>)`,
	} {
		if _, err := node.Eval(ctx, call); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_, _ = node.Eval(context.Background(), `rabbit_auth_backend_internal:delete_user(<<"weak">>, <<"test">>)`)
	})
	b := newBroker(t, at, amqp.Config{Username: "weak", Password: "weak"})
	err := b.Listen(ctx, router.Source{Queue: name, Prefetch: 1}, nil)
	if err == nil || !strings.Contains(err.Error(), "permission") || !strings.Contains(err.Error(), name) {
		t.Errorf("listen = %v", err)
	}
	err = b.Declare(ctx, amqp.Topology{Queues: []amqp.Queue{{Name: name + ".new", Durable: true}}})
	if err == nil || !strings.Contains(err.Error(), "permission") {
		t.Errorf("declare = %v", err)
	}
	s := b.Sender("test")
	defer s.Close()
	// The one that is refused does not take the other with it for good.
	r1, r2 := newReceipt(), newReceipt()
	env1, env2 := message("allowed"), message("refused")
	if err := s.Send(ctx, queue(name), &env1, r1); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(ctx, router.Target{Kind: router.TargetExchange, Exchange: name}, &env2, r2); err != nil {
		t.Fatal(err)
	}
	if err := r1.wait(ctx, t); err != nil && !errors.Is(err, router.ErrUnconfirmed) {
		t.Errorf("allowed: %v", err)
	}
	if err := r2.wait(ctx, t); !errors.Is(err, router.ErrUnsendable) || !strings.Contains(err.Error(), name) {
		t.Errorf("refused: %v, want unsendable", err)
	}
	if err := send(ctx, t, s, queue(name), env1); err != nil {
		t.Errorf("allowed, again: %v", err)
	}
}
