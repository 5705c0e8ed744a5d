package admin_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A client that does not come to the end of its request does not stay for ever.
func TestSlowClientsAreCut(t *testing.T) {
	t.Parallel() // the server waits for them for seconds
	s := start(t, full())
	var conns []net.Conn
	for _, begin := range []string{"", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "} {
		c := connect(t, s.Addr())
		if _, err := io.WriteString(c, begin); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for i, c := range conns {
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
}

// Many clients do not take the descriptors that the broker's connections need.
func TestManyClientsAreTooMany(t *testing.T) {
	const most = 256
	entered, leave := make(chan struct{}), make(chan struct{})
	cfg := full()
	cfg.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	})
	s := start(t, cfg)
	const request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	var conns []net.Conn
	for range most {
		c := connect(t, s.Addr())
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		<-entered
	}
	c := connect(t, s.Addr())
	_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") // it may be closed
	if text, _ := io.ReadAll(c); len(text) > 0 {
		t.Errorf("one more is answered: %.80s", text)
	}
	close(leave)
	for _, c := range conns {
		if text, err := io.ReadAll(c); err != nil || len(text) == 0 {
			t.Fatalf("%.80q, %v", text, err)
		}
	}
	if got := ask(t, s, "GET", "/healthz").Code; got != 200 {
		t.Errorf("afterwards: %d", got)
	}
}

func connect(t *testing.T, addr string) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}
