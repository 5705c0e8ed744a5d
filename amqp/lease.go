package amqp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// maxLeases bounds the numbers that are tried for one stem.
const maxLeases = 4096

// leaseGrace is how long a listener waits for the number it had: the broker may
// be a moment late in noticing that its last connection has ended. In between
// it tries after each leasePause.
const (
	leaseGrace = 2 * time.Second
	leasePause = 50 * time.Millisecond
)

// leaseSuffix names the queue that is the lock of a numbered queue: exclusive to
// a connection, so that the broker itself frees it when that has ended, however
// the process did. Quorum queues have no exclusive consumers that could do.
const leaseSuffix = ".lease"

// leases are the numbered queues that listeners of one broker have taken, which
// may share a connection, and so would not be told apart by its locks.
type leases struct {
	mu    sync.Mutex // protects taken
	taken map[string]bool
}

func (l *leases) take(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken[name] {
		return false
	}
	if l.taken == nil {
		l.taken = map[string]bool{}
	}
	l.taken[name] = true
	return true
}

func (l *leases) free(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.taken, name)
}

// lease takes a number for the listener's queue: the one it had, or the lowest
// that is free.
func (l *listener) lease(ctx context.Context, c *conn) error {
	had := l.queue
	if had != "" {
		err := l.lock(ctx, c, had)
		for end := time.Now().Add(leaseGrace); errors.Is(err, errLocked) && time.Now().Before(end) && ctx.Err() == nil; {
			sleep(ctx, leasePause)
			err = l.lock(ctx, c, had)
		}
		if !errors.Is(err, errLocked) {
			return err
		}
		l.b.leases.free(had)
		l.queue = ""
	}
	for n := 1; n <= maxLeases; n++ {
		name := l.source.Queue + strconv.Itoa(n)
		if name == had || !l.b.leases.take(name) {
			continue
		}
		err := l.lock(ctx, c, name)
		if err == nil {
			l.queue = name
			if had != "" {
				l.tell(router.SourceLost, had, errLocked)
			}
			return nil
		}
		l.b.leases.free(name)
		if !errors.Is(err, errLocked) {
			return err
		}
	}
	return fmt.Errorf("queue %q: all numbers up to %d are taken", l.source.Queue, maxLeases)
}

var errLocked = errors.New("another connection has taken its number")

// lock declares the lock of the queue name on c.
func (l *listener) lock(ctx context.Context, c *conn, name string) error {
	return c.call(ctx, func() error {
		d := declarer{b: l.b, c: c}
		defer d.close()
		err := d.queue(Queue{Name: name + leaseSuffix, Exclusive: true})
		var e *amqp091.Error
		if errors.As(err, &e) && e.Code == amqp091.ResourceLocked {
			return errLocked
		}
		return err
	})
}

// leave removes from the broker what the listener is to leave nothing of.
func (l *listener) leave(c *conn) {
	var names []string
	if l.queue == "" {
		return
	}
	if l.source.Delete {
		names = append(names, l.queue)
	}
	if l.source.Numbered {
		names = append(names, l.queue+leaseSuffix)
	}
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(l.b.hardCtx, closeTimeout)
	defer cancel()
	err := c.call(ctx, func() error {
		ch, err := c.lib.Channel()
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := ch.QueueDelete(name, false, false, false); err != nil {
				return err // it costs the channel
			}
		}
		return ch.Close()
	})
	if err != nil {
		l.log.to.Debug("queue not deleted", "err", explain(err, l.object()))
	}
}
