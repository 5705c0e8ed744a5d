package broker_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestForeignClients has clients of other makers do what they do, each in a script
// that prints what happens: the same here and at RabbitMQ.
func TestForeignClients(t *testing.T) {
	t.Parallel()
	rabbit := rabbitnode.Shared(t).URL()
	here := "amqp://guest:guest@" + start(t, nil) + "/"
	for _, c := range []struct {
		name, program, script string
	}{
		{"pika", "/usr/bin/python3", "testdata/pika_client.py"},
		{"oslo.messaging", "/usr/bin/python3", "testdata/oslo_client.py"},
		{"amqplib", "node", "testdata/amqplib_client.js"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mark := rabbitnode.Queue(t, "") + "-"
			want := runClient(t, c.program, c.script, rabbit, mark)
			got := runClient(t, c.program, c.script, here, mark)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("RabbitMQ - here +:\n%s", diff)
			}
			if want[len(want)-1] != "closed" {
				t.Errorf("the script has not come to its end: %q", want)
			}
		})
	}
}

// runClient runs a script and returns the lines that it prints.
func runClient(t *testing.T, program, script, url, mark string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, script, url, mark)
	if program == "node" {
		root, err := exec.CommandContext(ctx, "npm", "root", "--global").Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(os.Environ(), "NODE_PATH="+strings.TrimSpace(string(root)))
	}
	out, err := cmd.Output()
	if err != nil {
		var stderr []byte
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			stderr = exit.Stderr
		}
		t.Fatalf("%s at %s: %v; \"make deps\" installs what it needs\n%s%s", script, url, err, out, stderr)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], mark, "")
	}
	return lines
}
