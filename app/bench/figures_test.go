package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp/bareloop"
	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// write puts a configuration of n routes over f filters where the router finds
// it. Route i listens to q<i>.in and forwards by filter i%f, or by its own send
// when there are none.
func write(b *testing.B, prefix, admin string, routes, filters, prefetch int) string {
	b.Helper()
	var s strings.Builder
	fmt.Fprintf(&s, "[broker]\nurl = %q\n[log]\nlevel = \"error\"\n[admin]\nlisten = %q\n[process]\ncache_dir = %q\n", rabbitnode.Shared(b).URL(), admin, filepath.Join(os.TempDir(), "router-bench-cache"))
	for f := range filters {
		fmt.Fprintf(&s, "[filters.f%d]\npath = \"stock:content-router\"\nconfig = { field = \"body:type\", routes = { order = \"queue:%s.out\" } }\n", f, prefix)
	}
	for r := range routes {
		fmt.Fprintf(&s, "[queues.\"%s.%d.in\"]\n[routes.r%d]\nlisten = \"%s.%d.in\"\nprefetch = %d\n", prefix, r, r, prefix, r, prefetch)
		if filters > 0 {
			fmt.Fprintf(&s, "filters = [\"f%d\"]\nallow = [\"queue:%s.*\"]\n", r%filters, prefix)
		} else {
			fmt.Fprintf(&s, "send = [\"queue:%s.out\"]\n", prefix)
		}
		fmt.Fprintf(&s, "dead_letter = \"%s.dead\"\n", prefix)
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

// BenchmarkStart is the time from nothing to ready, with 5 filters of which the
// compiled code is in the disk cache. The RabbitMQ side (one connection for
// sending and one a route, their declarations) is in it.
func BenchmarkStart(b *testing.B) {
	path := write(b, rabbitnode.Queue(b), "", 1, 5, 256)
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
	admin := freeAddress(b)
	path := write(b, prefix, admin, 10, 5, 256)
	bin := filepath.Join(b.TempDir(), "router")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/wasmrouter/router/cmd/router").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for b.Loop() {
		cmd := exec.Command(bin, "run", "-c", path)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = cmd.Process.Kill() }) // an error when it has ended, as it should
		waitReady(b, admin)
		url := rabbitnode.Shared(b).URL()
		for r := range 10 {
			fill(b, url, fmt.Sprintf("%s.%d.in", prefix, r), 1000)
		}
		got, err := drainAll(b, url, prefix+".out", 10000)
		if err != nil || got != 10000 {
			b.Fatalf("%d arrived, %v", got, err)
		}
		b.ReportMetric(resident(b, cmd.Process.Pid), "MiB")
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	}
}

func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
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

// drainAll takes messages until n have come, whatever their numbers.
func drainAll(b *testing.B, url, queue string, n int) (int, error) {
	b.Helper()
	got := 0
	for got < n {
		before := got
		report, err := bareloop.Drain(b.Context(), url, queue, n, func(body []byte) (int, bool) {
			i, ok := bytes.CutPrefix(body, []byte(`{"type":"order","seq":`))
			return len(i), ok
		})
		if err != nil {
			return got, err
		}
		got += report.Received
		if got == before {
			time.Sleep(50 * time.Millisecond)
		}
	}
	return got, nil
}

// BenchmarkRoutes is the processor time of one message through one route, while
// the process has that route alone, or 999 idle ones beside it.
func BenchmarkRoutes(b *testing.B) {
	const n = 10000
	for _, routes := range []int{1, 1000} {
		b.Run(fmt.Sprint(routes), func(b *testing.B) {
			prefix := rabbitnode.Queue(b)
			a := start(b, write(b, prefix, "", routes, 1, 256))
			defer stop(b, a)
			url := rabbitnode.Shared(b).URL()
			var used time.Duration
			runs := 0
			for b.Loop() {
				before := settled(a)
				runtime.GC()
				cpu := cpuTime()
				fill(b, url, prefix+".0.in", n)
				for settled(a) < before+n {
					time.Sleep(2 * time.Millisecond)
				}
				used += cpuTime() - cpu
				runs++
				if _, err := drainAll(b, url, prefix+".out", n); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(used.Microseconds())/float64(runs*n), "µs-CPU/message")
		})
	}
}

func settled(a *app.App) uint64 {
	var n uint64
	for _, r := range a.Snapshot().Routes {
		for _, v := range r.Settled {
			n += v
		}
	}
	return n
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
