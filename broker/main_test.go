package broker_test

import (
	"testing"

	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/internal/testbroker"
)

func TestMain(m *testing.M) { testbroker.Main(m) }

// start starts a broker and returns its address.
func start(t *testing.T, change func(*broker.Config)) string {
	t.Helper()
	_, address := startServer(t, change)
	return address
}

func startServer(t *testing.T, change func(*broker.Config)) (*broker.Server, string) {
	t.Helper()
	var cfg broker.Config
	if change != nil {
		change(&cfg)
	}
	s := broker.New(cfg)
	t.Cleanup(s.Close)
	address, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return s, address
}
