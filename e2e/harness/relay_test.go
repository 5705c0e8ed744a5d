package harness

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestTheRelayTellsSidesApart has two connections named as the router names its own.
func TestTheRelayTellsSidesApart(t *testing.T) {
	r := NewRelay(t, rabbitnode.Shared(t).Addr())
	dial := func(name string) (*amqp091.Connection, error) {
		c, err := amqp091.DialConfig(r.URL(), amqp091.Config{
			Heartbeat: time.Second, Dial: amqp091.DefaultDial(3 * time.Second),
			Properties: amqp091.Table{"connection_name": name},
		})
		if err == nil {
			t.Cleanup(func() { _ = c.CloseDeadline(time.Now().Add(time.Second)) })
		}
		return c, err
	}
	for _, fault := range []struct {
		name        string
		begin, end  func()
		redialFails bool
	}{
		{"reset", func() { r.Reset(Sending) }, func() {}, false},
		{"down", func() { r.Up(Sending, false) }, func() { r.Up(Sending, true) }, true},
		{"nothing arrives", func() { r.Lose(Sending, 100) }, func() { r.Lose(Sending, 0) }, true},
	} {
		t.Run(fault.name, func(t *testing.T) {
			sending, err := dial("router/send@host")
			if err != nil {
				t.Fatal(err)
			}
			listening, err := dial("router/listen a.queue@host")
			if err != nil {
				t.Fatal(err)
			}
			fault.begin()
			answer := make(chan error, 1)
			go func() { // ends when the test's connections are closed
				_, err := sending.Channel()
				answer <- err
			}()
			select {
			case err := <-answer:
				if err == nil {
					t.Error("the broker answers on the sending connection")
				}
			case <-time.After(300 * time.Millisecond):
			}
			if _, err := dial("router/send@host"); (err != nil) != fault.redialFails {
				t.Errorf("another connection of that side: %v", err)
			}
			ch, err := listening.Channel()
			if err != nil {
				t.Errorf("the listening connection has ended as well: %v", err)
			} else {
				_ = ch.Close()
			}
			fault.end()
			if _, err := dial("router/send@host"); err != nil {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}

// TestLostPacketsAreSentAgain loses every fifth packet of a stream, which arrives whole.
func TestLostPacketsAreSentAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	before := Retransmitted(t)
	if err := drop(peer.(*net.TCPConn), 20); err != nil {
		t.Fatal(err)
	}
	const size = 4 << 20
	done := make(chan error, 1)
	go func() { // ends when everything is written, or conn closed
		_, err := conn.Write(make([]byte, size))
		done <- err
	}()
	if _, err := io.CopyN(io.Discard, peer, size); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := Retransmitted(t) - before; n == 0 {
		t.Error("no packet was sent again")
	}
	if err := drop(peer.(*net.TCPConn), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = peer.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := peer.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("read %d bytes, %v, where nothing arrives", n, err)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
