package console

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/testkit"
)

// BenchmarkAnOpenConsole measures what an open console costs a router under load: the
// share of one CPU that the router's process takes without a page and with one, in turns
// of three seconds. It reports both, and the difference, in percent of a CPU.
//
//	go test ./e2e/console -run XXX -bench Open -benchtime 20x
func BenchmarkAnOpenConsole(b *testing.B) {
	binary, err := testkit.BuildRouter(b.Context(), b.TempDir(), "../../cmd/router")
	if err != nil {
		b.Fatal(err)
	}
	w := &world{t: b, path: filepath.Join(b.TempDir(), "router.toml"), admin: testkit.FreeAddress(b), amqp: testkit.FreeAddress(b), every: 5 * time.Millisecond}
	w.configure(configuration, "")
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	router := exec.CommandContext(ctx, binary, "run", "-c", w.path)
	router.Cancel = func() error { return router.Process.Signal(os.Interrupt) }
	if err := router.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cancel()
		_ = router.Wait()
	})
	testkit.Await(b, time.Minute, "the router", func() (bool, string) {
		resp, err := http.Get(w.url() + "readyz")
		if err != nil {
			return false, err.Error()
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
	w.load()
	p := look(b, w)
	p.flowing()
	p.Open("about:blank")
	p.Wait(`location.href === "about:blank"`)
	var closed, open time.Duration
	turn := func() time.Duration {
		before := cpu(b, router.Process.Pid)
		time.Sleep(turnTime)
		return cpu(b, router.Process.Pid) - before
	}
	b.ResetTimer()
	for range b.N {
		closed += turn()
		b.StopTimer()
		p.Open(w.url())
		p.flowing()
		b.StartTimer()
		open += turn()
		b.StopTimer()
		p.Open("about:blank")
		p.Wait(`location.href === "about:blank"`)
		b.StartTimer()
	}
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / float64(b.N) / turnTime.Seconds() }
	b.ReportMetric(percent(closed), "%cpu-closed")
	b.ReportMetric(percent(open), "%cpu-open")
	b.ReportMetric(percent(open-closed), "%cpu-console")
}

// turnTime is how long the router is watched at a time.
const turnTime = 3 * time.Second

// cpu returns the processor time that a process has taken, by Linux's count.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}
