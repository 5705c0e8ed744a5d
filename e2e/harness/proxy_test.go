package harness

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m, "../../cmd/router") }

// TestTheProxyDoesWhatItIsTold has a server that echoes behind the proxy.
func TestTheProxyDoesWhatItIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends when the listener is closed
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	p := NewProxy(t, l.Addr().String())
	dial := func() (net.Conn, error) {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = c.Close() })
		return c, nil
	}
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	echo := func(within time.Duration) error {
		if _, err := conn.Write([]byte("x")); err != nil {
			return err
		}
		_ = conn.SetReadDeadline(time.Now().Add(within))
		_, err := io.ReadFull(conn, make([]byte, 1))
		return err
	}
	if err := echo(Patience); err != nil {
		t.Fatal(err)
	}
	p.Add(Toxic{Name: "hole", Type: "timeout", Stream: "upstream", Attributes: map[string]any{"timeout": 0}})
	if err := echo(200 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("through a black hole: %v", err)
	}
	p.Up(false)
	if err := echo(Patience); err == nil {
		t.Error("a connection outlives the proxy's end")
	}
	if _, err := dial(); err == nil {
		t.Error("a proxy that is down takes connections")
	}
	p.Remove("hole")
	p.Up(true)
	if conn, err = dial(); err != nil {
		t.Fatal(err)
	}
	if err := echo(Patience); err != nil {
		t.Errorf("after all that: %v", err)
	}
}
