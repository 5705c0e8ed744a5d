package amqp

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/wasmrouter/router/broker"
)

// What a call met when its connection ended says less than why that ended.
func TestWhyAConnectionEnded(t *testing.T) {
	s := broker.New(broker.Config{})
	defer s.Close()
	address, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{URLs: []string{"amqp://guest:guest@" + address + "/"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	c, err := b.dial(t.Context(), &line{purpose: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close(closeTimeout)
	if err := c.why(errDead); !errors.Is(err, errDead) {
		t.Errorf("of one that lives: %v", err)
	}
	s.Faults().CloseConnections(func(string) bool { return true }, 320, "CONNECTION_FORCED - a test")
	<-c.lost
	if err := c.why(errWireClosed); err == nil || !strings.Contains(err.Error(), "a test") {
		t.Errorf("of one that was closed: %v", err)
	}
}
