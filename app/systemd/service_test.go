package systemd

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/wasmrouter/router/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen is the service manager's end.
func listen(t *testing.T) *net.UnixConn {
	t.Helper()
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", addr.Name)
	return conn
}

// next returns the lines of the next datagram.
func next(t *testing.T, conn *net.UnixConn) []string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // no measure
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(buf[:n]), "\n")
}

func service(t *testing.T) *Service {
	t.Helper()
	s, err := New(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil || s == nil {
		t.Fatalf("New: %v, %v", s, err)
	}
	return s
}

func TestNobodyIsToldWithoutAServiceManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if s, err := New(slog.Default()); s != nil || err != nil {
		t.Errorf("New: %v, %v", s, err)
	}
}

func TestPhasesAreReported(t *testing.T) {
	conn := listen(t)
	s := service(t)
	s.Phase(app.Running)
	if got := next(t, conn); !cmp.Equal(got, []string{"READY=1"}) {
		t.Errorf("when running: %q", got)
	}
	s.Phase(app.Reloading)
	got := next(t, conn)
	if len(got) != 2 || got[0] != "RELOADING=1" {
		t.Fatalf("when reloading: %q", got)
	}
	usec, ok := strings.CutPrefix(got[1], "MONOTONIC_USEC=")
	if n, err := strconv.ParseUint(usec, 10, 64); !ok || err != nil || n == 0 {
		t.Errorf("when reloading: %q", got)
	}
	s.Phase(app.Running)
	if got := next(t, conn); !cmp.Equal(got, []string{"READY=1"}) {
		t.Errorf("after the reload: %q", got)
	}
	s.Phase(app.Stopping)
	if got := next(t, conn); got[0] != "STOPPING=1" {
		t.Errorf("when stopping: %q", got)
	}
}

// A status is sent when it changes, a sign of life every time, and none while the
// process cannot tell how it is.
func TestTheWatchdogHearsFromAProcessThatLives(t *testing.T) {
	conn := listen(t)
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", "")
	s := service(t)
	states := make(chan app.Status)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx, func() app.Status { return <-states }) })
	good, bad := state(true), state(false, "broker: not connected")
	for i, step := range []struct {
		status app.Status
		want   []string
	}{
		{good, []string{"WATCHDOG=1", "STATUS=ready, 2 routes"}},
		{good, []string{"WATCHDOG=1"}},
		{bad, []string{"WATCHDOG=1", "STATUS=not ready: broker: not connected"}},
		{bad, []string{"WATCHDOG=1"}},
	} {
		states <- step.status // until then nothing is sent: the next datagram is this one's
		if got := next(t, conn); !cmp.Equal(got, step.want) {
			t.Errorf("report %d: %q, want %q", i, got, step.want)
		}
	}
	cancel()
	close(states)
	running.Wait()
}

func TestTheWatchdogIsOfThisProcessOnly(t *testing.T) {
	listen(t)
	t.Setenv("WATCHDOG_USEC", "2000000")
	t.Setenv("WATCHDOG_PID", "1")
	if s := service(t); s.watched {
		t.Error("another process's watchdog is fed")
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	t.Setenv("WATCHDOG_PID", "")
	if _, err := New(slog.Default()); err == nil || !strings.Contains(err.Error(), "WATCHDOG_USEC") {
		t.Errorf("New with a bad WATCHDOG_USEC: %v", err)
	}
}

func TestADeafServiceManagerIsToldOfOnce(t *testing.T) {
	listen(t).Close()
	var log strings.Builder
	s, err := New(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s.Phase(app.Running)
	s.Phase(app.Stopping)
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, &log)
	}
}

func state(ready bool, reasons ...string) app.Status {
	return app.Status{Ready: ready, Reasons: reasons, Reload: app.ReloadStatus{Successful: true}, Routes: make([]app.RouteStatus, 2)}
}

func TestAStatusIsOneLine(t *testing.T) {
	failed := state(true)
	failed.Reload.Successful = false
	failed.Routes = failed.Routes[:1]
	for _, c := range []struct {
		status app.Status
		want   string
	}{
		{state(true), "ready, 2 routes"},
		{failed, "the last reload failed and changed nothing, the log says why; ready, 1 route"},
		{state(false, "a\nREADY=1", "b"), "not ready: a READY=1; b"},
		{state(false, strings.Repeat("ä", maxStatus)), "not ready: " + strings.Repeat("ä", (maxStatus-len("not ready: …"))/2) + "…"},
	} {
		if got := Text(c.status); got != c.want || len(got) > maxStatus {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
