package porttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
)

// ListenerRig is a Listener with the broker behind it, made for one test.
type ListenerRig struct {
	Listener router.Listener
	Queue    string
	Publish  func(body string) // puts a message into the queue
	// Ready returns how many messages the queue holds that nobody has.
	Ready func() int
	// Lose makes the Listener lose its connection. Nil leaves out the tests
	// that need it.
	Lose func()
}

// listening is a Listen that runs.
type listening struct {
	deliveries chan *router.Delivery
	stop       context.CancelFunc
	done       chan error
}

func (rig ListenerRig) listen(t testing.TB, prefetch int, drain time.Duration) *listening {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listening{deliveries: make(chan *router.Delivery, 1000), stop: cancel, done: make(chan error, 1)}
	source := router.Source{Queue: rig.Queue, Prefetch: prefetch, DrainTimeout: drain}
	go func() {
		l.done <- rig.Listener.Listen(ctx, source, func(d *router.Delivery) { l.deliveries <- d })
	}()
	return l
}

func (l *listening) next(t testing.TB) *router.Delivery {
	t.Helper()
	select {
	case d := <-l.deliveries:
		return d
	case <-time.After(patience):
		t.Fatal("nothing was delivered")
		return nil
	}
}

func (l *listening) end(t testing.TB) {
	t.Helper()
	l.stop()
	select {
	case err := <-l.done:
		if err != nil {
			t.Errorf("Listen: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Listen did not return")
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatal("not seen: " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Listener runs the contract of [router.Listener] and [router.Settler]. New
// makes a rig for each test and releases it in the test's Cleanup.
func Listener(t *testing.T, newRig func(testing.TB) ListenerRig) {
	t.Run("delivers in order, as many as the window takes", func(t *testing.T) { window(t, newRig(t)) })
	t.Run("delivers again what is given back", func(t *testing.T) { requeued(t, newRig(t)) })
	t.Run("drains when its context ends", func(t *testing.T) { drained(t, newRig(t)) })
	t.Run("gives back what is not settled in time", func(t *testing.T) { undrained(t, newRig(t)) })
	t.Run("begins a new session after a loss", func(t *testing.T) { lost(t, newRig(t)) })
}

func window(t *testing.T, rig ListenerRig) {
	const n, prefetch = 20, 4
	for i := range n {
		rig.Publish(fmt.Sprint(i))
	}
	l := rig.listen(t, prefetch, patience)
	var open []*router.Delivery
	for i := range n {
		if len(open) == prefetch {
			if rig.Ready() != n-i {
				t.Errorf("%d left in the queue with %d of %d delivered", rig.Ready(), i, n)
			}
			// The newest first: the order of settling is free.
			for len(open) > 0 {
				d := open[len(open)-1]
				d.Settler.Ack(d.Tag)
				open = open[:len(open)-1]
			}
		}
		d := l.next(t)
		if got := string(d.Envelope.Body); got != fmt.Sprint(i) {
			t.Errorf("delivery %d is %q", i, got)
		}
		if o := d.Envelope.Origin; o.Queue != rig.Queue || o.Redelivered || o.Received.IsZero() || !d.Settler.Live() {
			t.Errorf("delivery %d: %+v, live %t", i, o, d.Settler.Live())
		}
		open = append(open, d)
	}
	for _, d := range open {
		d.Settler.Ack(d.Tag)
	}
	l.end(t)
	eventually(t, "an empty queue", func() bool { return rig.Ready() == 0 })
}

func requeued(t *testing.T, rig ListenerRig) {
	rig.Publish("x")
	l := rig.listen(t, 10, patience)
	d := l.next(t)
	d.Settler.Requeue(d.Tag)
	again := l.next(t)
	if string(again.Envelope.Body) != "x" || !again.Envelope.Origin.Redelivered || again.Tag == d.Tag {
		t.Errorf("then came %q, %+v, tag %d after %d", again.Envelope.Body, again.Envelope.Origin, again.Tag, d.Tag)
	}
	again.Settler.Ack(again.Tag)
	l.end(t)
}

func drained(t *testing.T, rig ListenerRig) {
	rig.Publish("x")
	l := rig.listen(t, 10, patience)
	d := l.next(t)
	l.stop()
	eventually(t, "the end of consuming", func() bool {
		rig.Publish("later")
		return rig.Ready() > 0
	})
	select {
	case err := <-l.done:
		t.Fatalf("Listen returned %v before its delivery was settled", err)
	default:
	}
	for waiting := true; waiting; {
		d.Settler.Ack(d.Tag)
		select {
		case d = <-l.deliveries: // handed over before the end was seen
		default:
			waiting = false
		}
	}
	l.end(t)
	if d.Settler.Live() {
		t.Error("the session lives on after Listen has returned")
	}
}

func undrained(t *testing.T, rig ListenerRig) {
	rig.Publish("x")
	l := rig.listen(t, 10, 50*time.Millisecond)
	d := l.next(t)
	l.end(t)
	d.Settler.Ack(d.Tag) // too late: it does nothing
	eventually(t, "the message in its queue", func() bool { return rig.Ready() == 1 })
}

func lost(t *testing.T, rig ListenerRig) {
	if rig.Lose == nil {
		return
	}
	rig.Publish("x")
	l := rig.listen(t, 10, patience)
	d := l.next(t)
	rig.Lose()
	again := l.next(t)
	if !again.Envelope.Origin.Redelivered || !again.Settler.Live() {
		t.Errorf("the next session brings %+v, live %t", again.Envelope.Origin, again.Settler.Live())
	}
	eventually(t, "the end of the old session", func() bool { return !d.Settler.Live() })
	d.Settler.Ack(d.Tag) // its tag may be that of another delivery by now
	d.Settler.Requeue(d.Tag)
	if !again.Settler.Live() {
		t.Error("settling in a session that is lost has ended the next one")
	}
	again.Settler.Requeue(again.Tag)
	last := l.next(t)
	last.Settler.Ack(last.Tag)
	l.end(t)
}
