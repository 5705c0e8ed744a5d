package oslo_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// command returns a command line of the router that reaches the shared broker.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "ROUTER_URL="+rabbitURL(rabbitnode.Shared(t))+"?kombu_compression=gzip")
	return cmd
}

// ran runs a command line and returns what it prints and its exit code.
func ran(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := command(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// started is a command line that runs until the end of the test.
type started struct {
	t     *testing.T
	lines chan string // of standard output; closed at its end
}

// begin starts a command line, and returns when every queue has a consumer.
func begin(t *testing.T, queues []string, args ...string) *started {
	t.Helper()
	cmd := command(t, args...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &started{t, make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			s.lines <- scan.Text()
		}
		close(s.lines)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		if code := cmd.ProcessState.ExitCode(); code != 0 || t.Failed() {
			t.Errorf("%v: code %d\n%s", args, code, errOut.Bytes())
		}
	})
	g := connect(t)
	for _, queue := range queues {
		await(t, "a consumer of "+queue, func() (bool, string) {
			return g.consumers(queue) > 0, "none"
		})
	}
	return s
}

// line returns the next line of standard output.
func (s *started) line() string {
	s.t.Helper()
	select {
	case line, ok := <-s.lines:
		if ok {
			return line
		}
		s.t.Fatal("the command has ended")
	case <-s.t.Context().Done():
	}
	return ""
}

func TestTheCommandLineCallsAPythonServer(t *testing.T) {
	t.Parallel()
	exchange, topic := pythonServers(t)
	at := []string{"call", "--exchange", exchange, "--topic", topic, "--timeout", "60s"}

	for _, x := range []struct {
		name        string
		args        []string
		out, errOut string // what the streams match; empty is nothing at all
		code        int
	}{
		{name: "ping", args: []string{"--method", "oslo_rpc_server_ping", "--args", "{}"}, out: `^"pong"\n$`},
		{name: "values", args: []string{"--method", "echo", "--args", `{"value": [1.0, 1208925819614629174706176, NaN, "é"]}`}, out: `^\[1.0, 1208925819614629174706176, NaN, "\\u00e9"\]\n$`},
		{name: "JSON", args: []string{"--method", "echo", "--args", `{"value": {"a": null}}`, "-o", "json"}, out: `^{"result": {"a": null}}\n$`},
		{name: "no result", args: []string{"--method", "nothing", "-o", "json"}, out: `^{"result": null}\n$`},
		{name: "one server", args: []string{"--method", "who", "--server", "two"}, out: `^"two"\n$`},
		{name: "namespace and version", args: []string{"--method", "where", "--namespace", "interop.ns", "--rpc-version", "2.1"}, out: `^"in interop.ns"\n$`},
		{name: "context", args: []string{"--method", "context", "--context", `{"n": 1208925819614629174706176}`, "-H", "user_id=u1"}, out: `^{"n": 1208925819614629174706176, "user_id": "u1", "client_timeout": null}\n$`},
		{name: "a monitored call", args: []string{"--method", "slow", "--args", `{"secs": 3}`, "--monitor", "2s"}, out: `^"slept"\n$`},
		{
			name: "failure", args: []string{"--method", "fail", "--args", `{"error": "ValueError", "args": ["bad value"]}`}, code: 2,
			errOut: `^router: call topic:\S+: remote error: ValueError: bad value\n$`,
		},
		{
			name: "failure with its traceback", args: []string{"--method", "custom", "-v"}, code: 2,
			errOut: `Traceback \(most recent call last\):\n(.*\n)*interop_errors.InteropError: oops\nrouter: call topic:\S+: remote error: InteropError: oops\n$`,
		},
		{
			name: "failure as JSON", args: []string{"--method", "custom", "-o", "json"}, code: 2,
			out:    `^{"error": {"class": "InteropError", "module": "interop_errors", "message": "oops", "args": \["oops"\], "kwargs": {"code": 42, "uuid": "u-1"}, "traceback": \["Traceback .*\n$`,
			errOut: `^router: call topic:\S+: remote error: InteropError: oops\n$`,
		},
		{name: "no such method", args: []string{"--method", "nosuch"}, code: 2, errOut: `NoSuchMethod: Endpoint does not support RPC method nosuch\n$`},
		{name: "unsupported version", args: []string{"--method", "who", "--rpc-version", "9.0"}, code: 2, errOut: `UnsupportedVersion: Endpoint does not support RPC version 9.0. Attempted method: who\n$`},
		{name: "timeout", args: []string{"--method", "slow", "--args", `{"secs": 3}`, "--timeout", "1s"}, code: 2, errOut: `no reply: .*; --timeout is 1s\n$`},
		{name: "nobody", args: []string{"--method", "who", "--server", "none"}, code: 2, errOut: `^router: call server:\S+.none: nobody listens: `},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			out, errOut, code := ran(t, append(at[:len(at):len(at)], x.args...)...)
			for text, want := range map[string]string{out: x.out, errOut: x.errOut} {
				if want == "" && text != "" || !regexp.MustCompile(want).MatchString(text) {
					t.Errorf("%.2000s\ndoes not match %s", text, want)
				}
			}
			if code != x.code {
				t.Errorf("exit code %d, want %d", code, x.code)
			}
		})
	}
}

func TestTheCommandLineSendsToPythonServers(t *testing.T) {
	t.Parallel()
	py := thePython(t)
	exchange, topic := pythonServers(t)
	for name, x := range map[string]struct {
		args []string
		want []string
	}{
		"cast":               {[]string{"--topic", topic, "--server", "one"}, []string{`"one"`}},
		"cast to a target":   {[]string{"server:" + exchange + "/" + topic + ".two"}, []string{`"two"`}},
		"fanout":             {[]string{"--topic", topic, "--fanout"}, []string{`"one"`, `"two"`}},
		"fanout to a target": {[]string{"fanout:" + topic}, []string{`"one"`, `"two"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := rabbitnode.Queue(t)
			_, errOut, code := ran(t, append([]string{"send", "--exchange", exchange, "--method", "tag", "--args", `{"tag": "` + key + `"}`}, x.args...)...)
			if code != 0 {
				t.Fatal(errOut)
			}
			py.expect(t, "tag."+key, x.want...)
		})
	}
}

func TestTheCommandLineServesPythonClients(t *testing.T) {
	t.Parallel()
	py := thePython(t)
	exchange, topic := rabbitnode.Queue(t, "x"), rabbitnode.Queue(t, "t")
	program := filepath.Join(t.TempDir(), "answer.sh")
	text := `#!/bin/sh
if [ "$ROUTER_METHOD" = fail ]; then echo sorry >&2; exit 3; fi
if [ "$ROUTER_METHOD" = nothing ]; then cat >/dev/null; echo null; exit; fi
echo "$ROUTER_METHOD $(cat) $ROUTER_NAMESPACE $ROUTER_VERSION $ROUTER_CONTEXT"
`
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	begin(t, []string{topic + ".echo", topic}, "serve", "--exchange", exchange, "--topic", topic, "--server", "echo")
	begin(t, []string{topic + ".sh.s1"}, "serve", "--exchange", exchange, "--topic", topic+".sh", "--server", "s1", "--exec", program)
	at, sh := fields("exchange", exchange, "topic", topic), fields("exchange", exchange, "topic", topic+".sh")

	for name, x := range map[string]struct{ at, command, want string }{
		"echo":       {at, `"method": "any", "args": {"a": [1.0, NaN, "\udc80", 1208925819614629174706176]}`, `{"result": {"a": [1.0, NaN, "\udc80", 1208925819614629174706176]}}`},
		"one server": {at, `"method": "any", "server": "echo"`, `{"result": {}}`},
		"a program": {
			sh, `"method": "greet", "args": {"a": 1.0}, "namespace": "ns", "version": "1.2", "context": {"user": "u1"}`,
			`{"result": "greet {\"a\": 1.0} ns 1.2 {\"user\": \"u1\"}"}`,
		},
		"a program that prints JSON": {sh, `"method": "nothing"`, `{"result": null}`},
		"a program that fails": {
			sh, `"method": "fail"`,
			`{"error": {"class": "RemoteError", "module": "oslo_messaging.rpc.client", "remote": "ProgramFailed", "text": "exit status 3: sorry", "kwargs": null}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			same(t, py.do(t, "call", x.at, x.command), x.want)
		})
	}
}

func TestTheCommandLineNotifiesAPythonListener(t *testing.T) {
	t.Parallel()
	py := thePython(t)
	topic := rabbitnode.Queue(t, "t")
	py.must(t, "listen", fields("topic", topic), everyPriority)
	for name, args := range map[string][]string{"v2": nil, "v1": {"--v1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := rabbitnode.Queue(t)
			_, errOut, code := ran(t, append([]string{
				"notify", "notify:" + topic + ".warn", "--event-type", event, "--publisher", "me", "--payload", `{"n": 1.0, "x": NaN}`, "--context", `{"user_id": "u1"}`,
			}, args...)...)
			if code != 0 {
				t.Fatal(errOut)
			}
			got := py.next(t, event)
			for _, want := range []string{`"priority": "warn"`, `"user_id": "u1"`, `"publisher": "me"`, `"payload": {"n": 1.0, "x": NaN}`} {
				if !strings.Contains(got, want) {
					t.Errorf("%s\ndoes not hold %s", got, want)
				}
			}
		})
	}
}

func TestTheCommandLineListensToPython(t *testing.T) {
	t.Parallel()
	py := thePython(t)

	t.Run("notifications", func(t *testing.T) {
		t.Parallel()
		topic := rabbitnode.Queue(t, "t")
		heard := begin(t, []string{topic + ".info", topic + ".error"}, "listen", "--topic", topic, "--priority", "info,error")
		py.must(t, "notify", fields("topic", topic, "event", "disk.full", "priority", "error"), `"context": {"user_id": "u1"}, "payload": {"free": 1.0, "x": NaN}`)
		var got []string
		for len(got) < 6 {
			got = append(got, heard.line())
		}
		if diff := cmp.Diff([]string{
			fmt.Sprintf(`%s.error (exchange "openstack", key "%[1]s.error")`, topic),
			`  content_encoding: "utf-8"`, `  content_type: "application/json"`, `  delivery_mode: "2"`,
			`  error disk.full from py.host: {"free": 1.0, "x": NaN}`,
			`  context: {"user_id": "u1"}`,
		}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a copy of requests", func(t *testing.T) {
		t.Parallel()
		exchange, topic := pythonServers(t)
		heard := begin(t, nil, "listen", "--exchange", exchange, "--topic", topic, "--requests", "-o", "json")
		g := connect(t)
		await(t, "the copy to be bound", func() (bool, string) {
			n := g.bound(topic + "_fanout")
			return n == 3, fmt.Sprint(n) // two servers' and the copy's
		})
		for _, x := range []struct{ op, fields, want string }{
			{"call", `"method": "who", "server": "two"`, `"message":{"method":"who","args":{},"_msg_id":`},
			{"call", `"method": "nothing", "version": "1.1"`, `"message":{"method":"nothing","args":{},"version":"1.1","_msg_id":`},
			{"cast", `"method": "tag", "args": {"tag": "x"}, "fanout": true`, `"message":{"method":"tag","args":{"tag":"x"},"_unique_id":`},
		} {
			if got := py.do(t, x.op, fields("exchange", exchange, "topic", topic), x.fields); !strings.HasPrefix(got, `{"result": `) {
				t.Fatal(got)
			}
			if line := heard.line(); !strings.Contains(line, x.want) {
				t.Errorf("%s\ndoes not hold %s", line, x.want)
			}
		}
	})
}
