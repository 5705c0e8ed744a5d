package wasmhost

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
)

func TestCloseWaitsForInstances(t *testing.T) {
	h := newHost(t, Config{})
	f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: watFile(t, "pass")})
	if err != nil {
		t.Fatal(err)
	}
	in, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Close(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with an instance out: %v", err)
	}
	if _, err := f.Instance(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Instance after Close: %v", err)
	}
	var d router.Decision
	if err := in.Run(context.Background(), router.Decide, small(""), &d); err != nil {
		t.Errorf("an instance given out before Close must work: %v", err)
	}
	in.Close()
	in.Close()
	for range 2 {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := in.Run(context.Background(), router.Decide, small(""), &d); !errors.Is(err, ErrClosed) {
		t.Errorf("Run after Close: %v", err)
	}
	if s := f.Stat(); s.Stages[0].Calls != 1 || s.Live != 0 {
		t.Errorf("%+v", s)
	}
}

func TestLoadAfterClose(t *testing.T) {
	h := newHost(t, Config{})
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Load(context.Background(), FilterConfig{Module: watFile(t, "pass")}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// signal is a log that tells when the first line comes, and counts them.
type signal struct {
	lines atomic.Int32
	seen  chan struct{}
}

func (s *signal) Write(p []byte) (int, error) {
	if s.lines.Add(1) == 1 {
		close(s.seen)
	}
	return len(p), nil
}

func TestCloseWhileLoading(t *testing.T) {
	module := wat(t, `(module
	  (import "router" "log" (func $log (param i32 i32 i32)))
	  (func $s (local $i i32)
	    (call $log (i32.const 3) (i32.const 0) (i32.const 1))
	    (loop $l
	      (local.set $i (i32.add (local.get $i) (i32.const 1)))
	      (br_if $l (i32.lt_u (local.get $i) (i32.const 10000000))))
	    (call $log (i32.const 3) (i32.const 0) (i32.const 1)))
	  (start $s)`+handlers+`)`)
	logs := &signal{seen: make(chan struct{})}
	h := newHost(t, Config{Logger: slog.New(slog.NewTextHandler(logs, nil))})
	loading := make(chan error)
	go func() {
		_, err := h.Load(context.Background(), FilterConfig{Module: module, Limits: Limits{StartTime: time.Minute}})
		loading <- err
	}()
	<-logs.seen
	if err := h.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if n := logs.lines.Load(); n != 2 {
		t.Error("Close freed the code of a filter while it was starting")
	}
	if err := <-loading; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
