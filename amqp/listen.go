package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// Listen implements [router.Listener] with a connection of its own, or with
// [Config.OneListenConnection] a channel of the shared one, on which it declares of the topology what concerns the queue. It returns early, with
// an error that names the object, if the broker refuses a declaration or
// permission at the start. Later it goes on trying: a missing queue, a refused
// login, or a queue that another consumer uses exclusively may mend.
func (b *Broker) Listen(ctx context.Context, source router.Source, handle func(*router.Delivery)) error {
	switch {
	case source.Queue == "" || len(source.Queue) > maxString:
		return fmt.Errorf("amqp: listen: queue %.40q: a name has 1 to 255 bytes", source.Queue)
	case source.Numbered && len(source.Queue)+len(strconv.Itoa(maxLeases)+leaseSuffix) > maxString:
		return fmt.Errorf("amqp: listen to queue %.40q: with a number it is longer than 255 bytes", source.Queue)
	case source.Prefetch < 1 || source.Prefetch > 65535:
		return fmt.Errorf("amqp: listen to %q: prefetch is %d; it must be from 1 to 65535, or the queue would be read into memory", source.Queue, source.Prefetch)
	}
	if err := validate(source.Topology); err != nil {
		return fmt.Errorf("amqp: listen to %q: %w", source.Queue, err)
	}
	if !b.listening.enter() {
		return fmt.Errorf("amqp: listen to %q: %w", source.Queue, router.ErrClosed)
	}
	defer b.listening.wg.Done()
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()

	l := &listener{
		b: b, source: source, handle: handle,
		// The caller may know of the end before ctx does.
		ending: func() bool { return outer.Err() != nil || ctx.Err() != nil },
		line:   &line{purpose: listenTo + source.Queue, alias: source.Alias},
	}
	l.log.to = b.log.With("purpose", l.line.purpose, "queue", source.Queue)
	b.mu.Lock()
	b.lines = append(b.lines, l.line)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.lines = slices.DeleteFunc(b.lines, func(x *line) bool { return x == l.line })
		b.mu.Unlock()
	}()
	if !source.Numbered {
		l.queue = source.Queue
	}
	err := l.run(ctx)
	if source.Numbered && l.queue != "" {
		b.leases.free(l.queue)
	}
	if err != nil {
		return fmt.Errorf("amqp: listen to %q: %w", source.Queue, err)
	}
	return nil
}

// listener keeps one consumer alive.
type listener struct {
	b      *Broker
	source router.Source
	handle func(*router.Delivery)
	ending func() bool // the listener is to stop
	line   *line
	log    throttle

	queue      string // what is consumed, with the number of a numbered one; empty until it has one
	consumed   bool   // a consumer was registered at least once
	failures   int    // in a row, for backoff
	undecoded  int    // losses in a row by a delivery that cannot be decoded
	stuck      int    // of them, those since the last delivery that could be
	quarantine bool   // one delivery at a time until the undecodable or oversized ones are gone
	offset     int64  // of the last delivery of a stream
	place      any    // of a stream to begin at; nil is where the source says
	cancelled  bool   // the broker has cancelled the last consumer
	lost       bool   // told of the queue's loss since it was last consumed
}

func (l *listener) run(ctx context.Context) error {
	for ctx.Err() == nil {
		since := time.Now()
		err := l.connect(ctx)
		if ctx.Err() != nil {
			break
		}
		if !l.consumed && errors.Is(err, errRefused) && !errors.Is(err, errLogin) {
			return err
		}
		l.noteUndecodable(err)
		l.backoff(ctx, err, since)
	}
	return nil
}

// hopeful is how many losses in a row by one undecodable delivery are followed
// up at once: by then a delivery limit has taken effect, of which 20 is RabbitMQ's
// own, and until then everything behind it in the queue waits.
const hopeful = 32

// backoff waits after a failure that ended what began at since.
func (l *listener) backoff(ctx context.Context, err error, since time.Time) {
	if time.Since(since) > steady || 0 < l.stuck && l.stuck <= hopeful {
		l.failures = 0
	}
	least := time.Duration(0)
	if errors.Is(err, errRefused) {
		least = refusedPause
	}
	wait := l.b.pause(l.failures, least)
	l.failures++
	l.tell(router.SourceStopped, l.queue, err)
	l.log.warn("not consuming", err, "attempt", l.failures, "retry_in", readable(wait))
	sleep(ctx, wait)
}

// noteUndecodable follows connection losses caused by a message that the
// library cannot decode. Such a message comes again at once, for ever if the
// queue has no delivery limit, and takes the whole window with it each time.
func (l *listener) noteUndecodable(err error) {
	if !undecodable(err) {
		l.undecoded, l.stuck = 0, 0
		return
	}
	l.line.poisoned()
	l.undecoded++
	l.stuck++
	if l.undecoded == 2 && !l.quarantine {
		l.setQuarantine(true)
		l.log.to.Warn("a message in the queue cannot be decoded and has cut the connection twice; taking one message at a time so that no other is affected; give the queue a delivery limit and a dead-letter exchange to be rid of it",
			"err", err)
	}
}

func (l *listener) setQuarantine(on bool) {
	l.quarantine = on
	l.line.quarantine(on)
}

// connect dials and consumes until the connection is lost or ctx ends.
func (l *listener) connect(ctx context.Context) error {
	c, err := l.conn(ctx)
	if err != nil {
		l.line.down(err)
		return err
	}
	l.line.up(c)
	if l.b.shared == nil {
		defer c.closeUnless(l.b.hardCtx)
	}
	defer context.AfterFunc(l.b.hardCtx, func() { _ = c.wire.Close() })()
	for {
		since := time.Now()
		err := l.prepare(ctx, c)
		if err == nil {
			err = l.consume(ctx, c)
		}
		if ctx.Err() != nil {
			l.leave(c)
			l.line.down(nil)
			return nil
		}
		if c.lib.IsClosed() {
			<-c.lost // follows at once
			// A refusal that cost the connection says more than its end does.
			if c.err != nil && !errors.Is(err, errRefused) {
				err = c.err
			}
			l.line.down(err)
			return err
		}
		if errors.Is(err, errOversized) {
			continue
		}
		if errors.Is(err, errRestore) {
			l.setQuarantine(false)
			l.undecoded = 0
			continue
		}
		l.line.consuming(false, err)
		if !l.consumed && errors.Is(err, errRefused) {
			l.line.down(err)
			return err
		}
		l.backoff(ctx, err, since)
	}
}

// conn returns an open connection, or why the hosts could not be connected to.
func (l *listener) conn(ctx context.Context) (*conn, error) {
	if l.b.shared != nil {
		return l.b.shared.once(ctx)
	}
	return l.b.dial(ctx, l.line)
}

// errOversized ends a session in which a body was larger than expected.
var errOversized = errors.New("a body is larger than the source expects")

// oversized reports whether a delivery is larger than the source expects.
func (l *listener) oversized(d *amqp091.Delivery) bool {
	return l.source.MaxBody > 0 && len(d.Body) > l.source.MaxBody
}

// noteOversized begins the quarantine that keeps a few large messages from
// taking Prefetch times their size of memory.
func (l *listener) noteOversized(d *amqp091.Delivery) {
	l.setQuarantine(true)
	l.log.to.Warn("a message is larger than max_message; taking one message at a time until no more of them come, so that memory holds one of them and not as many as prefetch allows",
		"bytes", len(d.Body), "max_message", l.source.MaxBody, "prefetch", l.source.Prefetch)
}

// errRestore ends a session in quarantine that has gone well.
var errRestore = errors.New("quarantine is over")

// object names the queue in errors.
func (l *listener) object() string {
	return fmt.Sprintf("queue %q", cmp.Or(l.queue, l.source.Queue))
}

// consumerTag names the consumer in RabbitMQ's lists.
func (l *listener) consumerTag() string {
	tag := l.b.cfg.ConnectionName + "/" + l.queue
	return strings.ToValidUTF8(tag[:min(len(tag), maxString)], "")
}
