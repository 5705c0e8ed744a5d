package harness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

// Producer publishes a load at an even pace while things go wrong. It survives faults
// by itself: a batch whose confirms do not all come is published again, in its order,
// on a new connection, until they do.
type Producer struct {
	node    *rabbitnode.Node
	queue   string
	load    Load
	perSec  int
	stop    context.CancelFunc
	wg      sync.WaitGroup
	sent    atomic.Int64 // confirmed, all with a lower number too
	held    atomic.Bool
	repeats int // publishes beyond a message's first; after wg
	tried   int // messages published at least once; after wg
}

// Feed starts a producer with so many messages a second; it ends when the load does,
// and at the latest with the test.
func Feed(t *testing.T, n *rabbitnode.Node, queue string, load Load, perSec int) *Producer {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &Producer{node: n, queue: queue, load: load, perSec: perSec, stop: stop}
	p.wg.Go(func() { p.run(ctx) })
	t.Cleanup(func() {
		stop()
		p.wg.Wait()
	})
	return p
}

// Sent returns how many messages were confirmed so far.
func (p *Producer) Sent() int { return int(p.sent.Load()) }

// Hold has the producer rest, or go on, so that a router on a busy machine is not left
// behind for ever.
func (p *Producer) Hold(hold bool) { p.held.Store(hold) }

// Done reports whether the whole load was confirmed.
func (p *Producer) Done() bool { return p.Sent() == p.load.Count }

// Finish waits for the end of the load, notes it in the audit, and returns how many
// duplicates are the producer's own.
func (p *Producer) Finish(a *Audit) (repeats int) {
	p.wg.Wait()
	for id := range p.tried {
		a.Attempted(id)
	}
	for id := range p.Sent() {
		a.Acknowledged(id)
	}
	return p.repeats
}

func (p *Producer) run(ctx context.Context) {
	const most = 500 // messages of one batch
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var conn *amqp091.Connection
	defer func() {
		if conn != nil {
			_ = conn.CloseDeadline(time.Now().Add(time.Second))
		}
	}()
	var ch *amqp091.Channel
	fresh := true // nothing was confirmed on ch
	last, due := time.Now(), 0.0
	for id := 0; id < p.load.Count; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		if !p.held.Load() { // what a fault has cost is not made up for
			due = min(due+now.Sub(last).Seconds()*float64(p.perSec), most)
		}
		last = now
		end := min(id+int(due), p.load.Count)
		if fresh { // a quorum queue without a leader refuses the first of many and takes the rest
			end = min(end, id+1)
		}
		if end == id {
			continue
		}
		err := errors.New("not connected")
		if ch != nil {
			err = p.publish(ctx, ch, id, end)
		}
		if err == nil {
			due -= float64(end - id)
			id = end
			p.sent.Store(int64(id))
			fresh = false
			continue
		}
		if conn != nil {
			_ = conn.CloseDeadline(time.Now().Add(time.Second))
		}
		conn, ch = p.dial()
		fresh = true
	}
}

// dial returns a connection and its channel, nil if there is none to be had now.
func (p *Producer) dial() (*amqp091.Connection, *amqp091.Channel) {
	conn, err := amqp091.DialConfig(p.node.URL(), amqp091.Config{Dial: amqp091.DefaultDial(5 * time.Second)})
	if err != nil {
		return nil, nil
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		_ = conn.CloseDeadline(time.Now().Add(time.Second))
		return nil, nil
	}
	return conn, ch
}

// publish publishes the messages from one number to before another and waits until
// all are confirmed.
func (p *Producer) publish(ctx context.Context, ch *amqp091.Channel, from, end int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var confirms []*amqp091.DeferredConfirmation
	for id := from; id < end; id++ {
		if id < p.tried {
			p.repeats++
		} else {
			p.tried = id + 1
		}
		dc, err := ch.PublishWithDeferredConfirm("", p.queue, true, false, Numbered(p.load, id))
		if err != nil {
			return err
		}
		confirms = append(confirms, dc)
	}
	for i, dc := range confirms {
		switch ok, err := dc.WaitContext(ctx); {
		case err != nil:
			return err
		case !ok:
			return fmt.Errorf("message %d was not taken", from+i)
		}
	}
	return nil
}
