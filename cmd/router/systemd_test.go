package main

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/testkit"
)

// manager is the end of the protocol that systemd has.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	said []string
}

func listenAsManager(t *testing.T) (m *manager, env string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t: t, conn: conn}, "NOTIFY_SOCKET=" + path
}

// await reads until a datagram has a line that begins with text, and returns all
// its lines.
func (m *manager) await(text string) []string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			m.t.Fatalf("no %s: %v; there were %q", text, err, m.said)
		}
		m.said = append(m.said, string(buf[:n]))
		lines := strings.Split(string(buf[:n]), "\n")
		for _, line := range lines {
			if strings.HasPrefix(line, text) {
				return lines
			}
		}
	}
}

// `systemctl start`, reload, a reload that fails, stop, and a watchdog all along.
func TestTheServiceManagerHearsFromTheRouter(t *testing.T) {
	m, env := listenAsManager(t)
	config := "[broker]\nurl = \"embedded://" + testkit.FreeAddress(t) + "\"\n[log]\nformat = \"json\"\n" +
		"[queues.in]\n[queues.out]\n[routes.r]\nlisten = \"in\"\nsend = [\"queue:out\"]\n"
	p := launchIn(t, t.TempDir(), config, env, "WATCHDOG_USEC=20000")
	m.await("READY=1")
	m.await("STATUS=ready, 1 route")
	m.await("WATCHDOG=1")

	p.write(config + "prefetch = 1\n")
	p.signal(syscall.SIGHUP)
	if got := m.await("RELOADING=1"); len(got) != 2 || !strings.HasPrefix(got[1], "MONOTONIC_USEC=") {
		t.Errorf("a reload begins with %q", got)
	}
	m.await("READY=1")

	p.write("mistake = 1\n")
	p.signal(syscall.SIGHUP)
	m.await("RELOADING=1")
	m.await("READY=1")
	m.await("STATUS=the last reload failed and changed nothing")

	p.signal(syscall.SIGTERM)
	m.await("STOPPING=1")
	p.ends(exitOK)
}
