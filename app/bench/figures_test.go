package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp/bareloop"
	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testkit"
)

// Filters as router.toml names them.
const (
	contentRouter = "path = \"stock:content-router\"\nconfig = { field = \"body:type\", routes = { order = \"queue:PREFIX.out\" } }\n"
	contextPacker = "path = \"stock:context-packer\"\nconfig = { tenant = { from = [\"header:tenant\"] }, trace = { mode = \"child\" } }\ngrants = { random = true }\n"
	messagePack   = "path = \"stock:messagepack\"\nconfig = { encode = \"json-to-msgpack\" }\n"
)

// write puts a configuration where the router finds it. Route i listens to
// PREFIX.i.in and has filter i, from the start again when there are fewer.
func write(b *testing.B, prefix, admin string, routes int, filters ...string) string {
	b.Helper()
	var s strings.Builder
	fmt.Fprintf(&s, "[broker]\nurl = %q\n[log]\nlevel = \"error\"\n[admin]\nlisten = %q\n[process]\ncache_dir = %q\n", rabbitnode.Shared(b).URL(), admin, filepath.Join(b.TempDir(), "cache"))
	for i, f := range filters {
		fmt.Fprintf(&s, "[filters.f%d]\n%s", i, strings.ReplaceAll(f, "PREFIX", prefix))
	}
	for r := range routes {
		fmt.Fprintf(&s, "[queues.\"%s.%d.in\"]\n[routes.r%d]\nlisten = \"%s.%d.in\"\nprefetch = 256\nfilters = [\"f%d\"]\n", prefix, r, r, prefix, r, r%len(filters))
		fmt.Fprintf(&s, "send = [\"queue:%s.out\"]\nallow = [\"queue:%s.*\"]\ndead_letter = \"%s.dead\"\n", prefix, prefix, prefix)
	}
	fmt.Fprintf(&s, "[queues.\"%s.out\"]\n", prefix)
	path := filepath.Join(b.TempDir(), "router.toml")
	if err := os.WriteFile(path, []byte(s.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// start starts a router in this process and returns when it is ready.
func start(b *testing.B, path string) *app.App {
	b.Helper()
	a, err := app.New(b.Context(), app.Options{ConfigPath: path, LogOutput: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	for {
		ready, _ := a.Ready()
		if ready {
			return a
		}
		time.Sleep(time.Millisecond)
	}
}

func stop(b *testing.B, a *app.App) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		b.Error(err)
	}
}

// BenchmarkStart is the time from nothing to ready, with 5 routes and 5 filters, one
// of them written in Go, whose compiled code is in the disk cache. The RabbitMQ side (one connection for
// sending and one a route, their declarations) is in it.
func BenchmarkStart(b *testing.B) {
	path := write(b, rabbitnode.Queue(b), "", 5, contentRouter, contentRouter, contentRouter, messagePack, contextPacker)
	stop(b, start(b, path)) // fills the cache
	for b.Loop() {
		a := start(b, path)
		b.StopTimer()
		stop(b, a)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
}

// BenchmarkResident is the resident memory of a router process with 10 routes,
// 5 filters and prefetch 256, after 10,000 messages went through.
func BenchmarkResident(b *testing.B) {
	prefix := rabbitnode.Queue(b)
	admin := testkit.FreeAddress(b)
	path := write(b, prefix, admin, 10, contentRouter, contentRouter, contentRouter, contentRouter, contentRouter)
	bin := build(b)
	for b.Loop() {
		cmd := run(b, bin, path, admin)
		url := rabbitnode.Shared(b).URL()
		for r := range 10 {
			fill(b, url, fmt.Sprintf("%s.%d.in", prefix, r), 1000)
		}
		drain(b, url, prefix+".out", 10000)
		b.ReportMetric(resident(b, cmd.Process.Pid), "MiB")
		end(b, cmd)
	}
}

// build builds the router's binary.
func build(b *testing.B) string {
	b.Helper()
	bin := filepath.Join(b.TempDir(), "router")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/wasmrouter/router/cmd/router").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// run starts a router process and returns when it is ready.
func run(b *testing.B, bin, path, admin string) *exec.Cmd {
	b.Helper()
	cmd := exec.Command(bin, "run", "-c", path)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill() }) // an error when it has ended, as it should
	waitReady(b, admin)
	return cmd
}

// end stops a router process as an operator does.
func end(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Error(err)
	}
}

// waitReady returns when the router with that admin listener is ready.
func waitReady(b *testing.B, admin string) {
	b.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	b.Fatal("the router is not ready")
}

func resident(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

const message = `{"type":"order","seq":%d,"pad":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}`

func fill(b *testing.B, url, queue string, n int) {
	b.Helper()
	m := bareloop.Message{Make: func(i int) []byte { return fmt.Appendf(nil, message, i) }}
	if err := bareloop.Fill(b.Context(), url, queue, n, m); err != nil {
		b.Fatal(err)
	}
}

// drain takes messages until n have come, whatever their numbers.
func drain(b *testing.B, url, queue string, n int) {
	b.Helper()
	for got := 0; got < n; {
		report, err := bareloop.Drain(b.Context(), url, queue, n, func([]byte) (int, bool) { return 0, false })
		if err != nil {
			b.Fatal(err)
		}
		if got += report.Received; report.Received == 0 {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// BenchmarkRoutes is the processor time that a router process spends on one
// message through one route, while it has that route alone, or 999 idle ones
// beside it.
func BenchmarkRoutes(b *testing.B) {
	const n = 50000
	bin := build(b)
	for _, routes := range []int{1, 1000} {
		b.Run(fmt.Sprint(routes), func(b *testing.B) {
			prefix, admin := rabbitnode.Queue(b), testkit.FreeAddress(b)
			cmd := run(b, bin, write(b, prefix, admin, routes, contentRouter), admin)
			url := rabbitnode.Shared(b).URL()
			var used time.Duration
			runs := 0
			for b.Loop() {
				before := cpuTime(b, cmd.Process.Pid)
				fill(b, url, prefix+".0.in", n)
				drain(b, url, prefix+".out", n)
				used += cpuTime(b, cmd.Process.Pid) - before
				runs++
			}
			b.ReportMetric(float64(used.Microseconds())/float64(runs*n), "µs-CPU/message")
			end(b, cmd)
		})
	}
}

// cpuTime returns the processor time, user and system, of a process.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
