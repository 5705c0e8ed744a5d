package oslo_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/transport"
)

// Either side may be the first to declare: under the same options the other one
// declares the same. Ours are strict here, so that a difference is an error.
func TestGoAndPythonDeclareTheSame(t *testing.T) {
	t.Parallel()
	for _, options := range []string{
		"",
		"amqp_durable_queues=true",
		"amqp_auto_delete=true",
		"amqp_durable_queues=true&rabbit_ha_queues=true&enable_cancel_on_failover=true&rabbit_transient_queues_ttl=60",
		"rabbit_quorum_queue=true&rabbit_quorum_delivery_limit=7&rabbit_quroum_max_memory_length=100&rabbit_quroum_max_memory_bytes=100000&rabbit_qos_prefetch_count=5",
	} {
		for _, first := range []string{"python first", "go first"} {
			t.Run(first+", "+options, func(t *testing.T) {
				t.Parallel()
				g, err := transport.Open(url(t, options), transport.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := g.Close(context.WithoutCancel(t.Context())); err != nil {
						t.Error(err)
					}
				}()
				l := g.Layout()
				l.Exchange, l.Strict = rabbitnode.Queue(t, "x"), true
				topic := rabbitnode.Queue(t, "t")
				ours := func() {
					t.Helper()
					sources := append(l.Server(topic, "one"), l.Listener(topic+".n", []string{"info"}, "")...)
					sources = append(sources, router.Source{Topology: l.Target(router.Target{Kind: router.TargetNotify, Exchange: l.Exchange, Topic: topic + ".n", Priority: "info"})})
					if err := rpc.Ensure(t.Context(), g.Broker().Declare, sources); err != nil {
						t.Error(err)
					}
				}
				if first == "go first" {
					ours()
				}
				stop := declareInPython(t, options, l.Exchange, topic)
				if first != "go first" {
					ours()
				}
				stop()
			})
		}
	}
}

// url is that of the shared broker, with options.
func url(t *testing.T, options string) string {
	return strings.TrimSuffix(rabbitURL(rabbitnode.Shared(t)), "/") + "/?" + options
}

// declareInPython has the real oslo.messaging declare, and returns what ends
// the process, which keeps it all in use.
func declareInPython(t *testing.T, options, exchange, topic string) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/declare.py", url(t, options), exchange, topic)
	cmd.Env = append(os.Environ(), "PYTHONWARNINGS=ignore", "PYTHONDONTWRITEBYTECODE=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "ok\n" {
		_ = cmd.Wait() // its output says more
		t.Fatalf("python: %s%v\n%.2000s", line, err, stderr.String())
	}
	return func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("python: %v\n%.2000s", err, stderr.String())
		}
	}
}
