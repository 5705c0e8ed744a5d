package amqp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// modern dials a RabbitMQ that permits no queue that is neither durable nor
// exclusive, as releases from 4.3 on do: in front of the real one it answers
// such a declaration as they do, which costs the connection.
type modern struct{ refused atomic.Int64 }

func (m *modern) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	here, there := net.Pipe()
	answers := &frames{to: there}
	go func() {
		_, _ = io.Copy(answers, nc)
		_ = there.Close()
	}()
	go func() {
		_ = m.forward(there, nc, answers)
		_ = nc.Close()
		_ = there.Close()
	}()
	return here, nil
}

// frames writes whole frames, so that another's fits in between.
type frames struct {
	to   io.Writer
	mu   sync.Mutex // held while writing a frame; protects rest
	rest []byte
}

func (f *frames) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rest = append(f.rest, p...)
	for len(f.rest) >= 7 {
		n := 7 + int(binary.BigEndian.Uint32(f.rest[3:])) + 1
		if len(f.rest) < n {
			break
		}
		if _, err := f.to.Write(f.rest[:n]); err != nil {
			return 0, err
		}
		f.rest = f.rest[n:]
	}
	return len(p), nil
}

func (f *frames) insert(frame []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.to.Write(frame)
	return err
}

// forward passes the client's frames on until it declares a transient queue.
func (m *modern) forward(from io.Reader, to io.Writer, answers *frames) error {
	if _, err := io.CopyN(to, from, 8); err != nil { // the protocol header
		return err
	}
	head := make([]byte, 7)
	for {
		if _, err := io.ReadFull(from, head); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(from, body); err != nil {
			return err
		}
		if head[0] == 1 && transient(body) {
			m.refused.Add(1)
			if err := answers.insert(refusal()); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, from) // its close-ok
			return err
		}
		if _, err := to.Write(append(bytes.Clone(head), body...)); err != nil {
			return err
		}
	}
}

// transient reports whether a method is a queue.declare that is neither
// passive, durable nor exclusive.
func transient(body []byte) bool {
	if binary.BigEndian.Uint32(body) != 50<<16|10 {
		return false
	}
	name := int(body[6]) // behind class, method and a reserved number
	return body[7+name]&0b111 == 0
}

// refusal is the frame of a connection.close.
func refusal() []byte {
	const text = "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.\nBy default, this feature is not permitted anymore."
	body := binary.BigEndian.AppendUint32(nil, 10<<16|50)
	body = binary.BigEndian.AppendUint16(body, 541)
	body = append(append(body, byte(len(text))), text...)
	body = binary.BigEndian.AppendUint32(body, 50<<16|10)
	frame := binary.BigEndian.AppendUint32([]byte{1, 0, 0}, uint32(len(body)))
	return append(append(frame, body...), 0xCE)
}

func TestABrokerWithoutTransientQueuesGetsDurableOnes(t *testing.T) {
	testbroker.Both(t, testABrokerWithoutTransientQueuesGetsDurableOnes)
}

func testABrokerWithoutTransientQueuesGetsDurableOnes(t *testing.T, at *testbroker.Broker) {
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	m := &modern{}
	b := newBroker(t, at, amqp.Config{Dial: m.Dial})
	topology := func(queue string, shared bool) router.Topology {
		return router.Topology{
			Exchanges: []router.Exchange{{Name: name, Type: "topic", Shared: true, AutoDelete: true}},
			Queues:    []router.Queue{{Name: queue, Shared: shared}},
			Bindings:  []router.Binding{{Exchange: name, Queue: queue, Key: queue}},
		}
	}
	t.Cleanup(func() {
		for _, q := range []string{".1", ".2"} {
			_, _ = ch.QueueDelete(name+q, false, false, false)
		}
	})
	if err := b.Declare(ctx, topology(name+".0", false)); !amqp.IsRefusal(err) {
		t.Errorf("what is not shared: %v; want a refusal", err)
	}
	m.refused.Store(0)
	if err := b.Declare(ctx, topology(name+".1", true)); err != nil {
		t.Fatal(err)
	}
	c := listen(t, b, router.Source{Queue: name + ".2", Topology: topology(name+".2", true)})
	s := b.Sender("test")
	t.Cleanup(s.Close)
	waitFor(ctx, t, "it is consumed", func() bool { return stat(b, "listen "+name+".2").Consuming })
	if err := send(ctx, t, s, router.Target{Kind: router.TargetExchange, Exchange: name, Topic: name + ".2"}, message("x")); err != nil {
		t.Fatal(err)
	}
	d := c.next(ctx, t)
	d.Settler.Ack(d.Tag)
	for _, q := range []string{".1", ".2"} {
		if _, err := ch.QueueDeclare(name+q, true, false, false, false, nil); err != nil {
			t.Errorf("queue %s: %v; want it durable", q, err)
		}
	}
	if n := m.refused.Load(); n != 1 {
		t.Errorf("the broker had to refuse %d times; once is enough to know", n)
	}
	// A listener that is the first to be refused.
	b = newBroker(t, at, amqp.Config{Dial: m.Dial})
	told := newEvents()
	if _, err := ch.QueueDelete(name+".1", false, false, false); err != nil {
		t.Fatal(err)
	}
	listen(t, b, router.Source{Queue: name + ".1", Topology: topology(name+".1", true), Watch: told.watch})
	told.next(ctx, t, router.SourceConsuming)
	if n := m.refused.Load(); n != 2 {
		t.Errorf("refused %d times", n)
	}
}
