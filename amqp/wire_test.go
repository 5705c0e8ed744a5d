package amqp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestWritesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		w := newWire(here, newGate().clock)
		var want bytes.Buffer
		write := func(s string) {
			t.Helper()
			want.WriteString(s)
			if _, err := w.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 1<<10)
		write("alone ")
		synctest.Wait() // no timer passes before it is written
		n, err := there.Read(buf)
		if err != nil || string(buf[:n]) != "alone " {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		write("first ") // its write is under way
		synctest.Wait()
		write("second ")
		write("third")
		for _, part := range []string{"first ", "second third"} {
			if n, err = there.Read(buf); err != nil || string(buf[:n]) != part {
				t.Errorf("read %q, %v; want %q in one", buf[:n], err, part)
			}
		}
		_ = w.Close()
		w.wg.Wait()
		_ = there.Close()
	})
}

func TestAFullWireWaitsAndAFailureFreesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		w := newWire(here, newGate().clock)
		result := make(chan error, 1)
		go func() {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					result <- err
					return
				}
			}
		}()
		synctest.Wait()
		if len(w.out) < wireGather || len(w.out) > wireGather+64<<10 {
			t.Errorf("%d bytes wait, want about %d", len(w.out), wireGather)
		}
		_ = there.Close()
		if err := <-result; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write = %v, want the failed write's error", err)
		}
		if _, err := w.Read(make([]byte, 1)); err == nil {
			t.Error("reading goes on after a failed write")
		}
		w.wg.Wait()
	})
}

func TestAStuckWriteIsSeenUnlessBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		g := newGate()
		w := newWire(here, g.clock)
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if !w.stuck(time.Second - 1) {
			t.Error("a write of a second is not seen")
		}
		g.set(true)
		time.Sleep(time.Hour)
		if w.stuck(time.Second + 1) {
			t.Error("a write is held against a broker that has blocked the connection")
		}
		g.set(false)
		time.Sleep(time.Second)
		if !w.stuck(2*time.Second - 1) {
			t.Error("a write is not seen after the connection was unblocked")
		}
		_ = w.Close()
		w.wg.Wait()
		_ = there.Close()
	})
}

func TestASilentPeerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		w := newWire(here, newGate().clock)
		const beat = 10 * time.Second
		if err := w.ready(beat); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range 5 {
				time.Sleep(beat)
				_, _ = there.Write([]byte("x"))
			}
		}()
		start := time.Now()
		var err error
		n := 0
		for err == nil {
			var k int
			k, err = w.Read(make([]byte, 1))
			n += k
		}
		var ne net.Error
		if took := time.Since(start); n != 5 || !errors.As(err, &ne) || !ne.Timeout() || took < 6*beat || took > 7*beat {
			t.Errorf("read %d bytes, then %v after %v", n, err, took)
		}
		_ = w.Close()
		w.wg.Wait()
		_ = there.Close()
	})
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		if err := g.wait(t.Context(), nil); err != nil {
			t.Errorf("open: %v", err)
		}
		time.Sleep(time.Second)
		if !g.set(true) || g.set(true) {
			t.Error("set does not report changes")
		}
		time.Sleep(time.Minute)
		if c, b := g.clock(), g.blocked(); c != time.Second || b != time.Minute {
			t.Errorf("clock %v, blocked %v; want 1s and 1m", c, b)
		}
		given := errors.New("given up")
		ctx, cancel := context.WithCancelCause(t.Context())
		lost := make(chan struct{})
		results := make(chan error, 3)
		go func() { results <- g.wait(ctx, nil) }()
		synctest.Wait()
		cancel(given)
		if err := <-results; !errors.Is(err, given) {
			t.Errorf("wait = %v, want %v", err, given)
		}
		go func() { results <- g.wait(t.Context(), lost) }()
		synctest.Wait()
		close(lost)
		if err := <-results; err != nil {
			t.Errorf("lost: %v", err)
		}
		go func() { results <- g.wait(t.Context(), nil) }()
		synctest.Wait()
		g.set(false)
		if err := <-results; err != nil {
			t.Errorf("opened: %v", err)
		}
		time.Sleep(time.Second)
		if c, b := g.clock(), g.blocked(); c != 2*time.Second || b != time.Minute {
			t.Errorf("clock %v, blocked %v; want 2s and 1m", c, b)
		}
	})
}
