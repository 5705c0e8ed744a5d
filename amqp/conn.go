package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// frameSize is asked for; it is also RabbitMQ's own limit.
const frameSize = 128 << 10

// closeTimeout bounds the orderly close of a connection.
const closeTimeout = 2 * time.Second

// conn is one open connection. Nothing of it is used again once it is lost.
type conn struct {
	lib  *amqp091.Connection
	wire *wire
	gate *gate
	host string
	user string

	lost chan struct{} // closed when the connection has ended
	err  error         // why; set before lost is closed, nil if closed by us

	tasks tasks // watch, links, and calls that wait for the broker

	unheard atomic.Int32 // channels in a row that the broker has left without an answer

	notify notifyQueues
}

// dial tries every endpoint once, in random order, but last the one that has left publishes
// without an answer.
func (b *Broker) dial(ctx context.Context, line *line) (*conn, error) {
	var errs []error
	order, shunned := rand.Perm(len(b.endpoints)), line.shunned()
	slices.SortStableFunc(order, func(i, j int) int {
		return later(b.endpoints[i].addr == shunned) - later(b.endpoints[j].addr == shunned)
	})
	for _, i := range order {
		e := &b.endpoints[i]
		line.trying(e.addr)
		c, err := b.dialOne(ctx, e, line)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		errs = append(errs, fmt.Errorf("connect to %s: %w", e.addr, err))
	}
	return nil, errors.Join(errs...)
}

func later(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (b *Broker) dialOne(ctx context.Context, e *endpoint, line *line) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.cfg.DialTimeout, fmt.Errorf("no answer within %v", b.cfg.DialTimeout))
	defer cancel()
	nc, err := b.cfg.Dial(ctx, "tcp", e.addr)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := nc.SetDeadline(deadline); err != nil {
		abort(nc)
		return nil, err
	}
	if e.tls {
		cfg, err := b.cfg.TLS.client(e.host)
		if err != nil {
			abort(nc)
			return nil, err
		}
		client := tls.Client(nc, cfg)
		if err := client.HandshakeContext(ctx); err != nil {
			abort(nc)
			return nil, fmt.Errorf("TLS as %q: %w", cfg.ServerName, err)
		}
		nc = client
	}
	c := &conn{gate: newGate(), host: e.addr, user: e.username, lost: make(chan struct{})}
	c.wire = newWire(nc, c.gate.clock)
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	defer stop()

	cfg := amqp091.Config{ // fresh for each dial: the library writes into it
		Vhost:     e.vhost,
		Heartbeat: b.cfg.Heartbeat,
		FrameSize: frameSize,
		Locale:    "en_US",
		Properties: amqp091.Table{
			"product":         "router",
			"platform":        "Go",
			"connection_name": b.connectionName(line.purpose),
		},
		SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: e.username, Password: e.password}},
	}
	if b.cfg.TLS.External {
		cfg.SASL = []amqp091.Authentication{&amqp091.ExternalAuth{}}
		c.user = "" // the broker knows it, we do not
	}
	c.lib, err = amqp091.Open(c.wire, cfg)
	if err == nil {
		err = c.wire.ready(c.lib.Config.Heartbeat)
	}
	if err != nil {
		_ = c.wire.Close()
		c.wire.wg.Wait()
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, explainLogin(err, e)
	}
	closes := c.lib.NotifyClose(make(chan *amqp091.Error, 1))
	blocks := c.lib.NotifyBlocked(make(chan amqp091.Blocking, 8))
	c.tasks.run(func() { c.watch(b, line, closes, blocks) })
	return c, nil
}

func (b *Broker) connectionName(purpose string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return b.cfg.ConnectionName + "/" + purpose + "@" + host
}

// watch follows the connection's state until it ends.
func (c *conn) watch(b *Broker, line *line, closes <-chan *amqp091.Error, blocks <-chan amqp091.Blocking) {
	tick := time.NewTicker(max(b.cfg.WriteTimeout/4, time.Millisecond))
	defer tick.Stop()
	log := b.log.With("purpose", line.purpose, "host", c.host)
	var stuck error
	for {
		select {
		case e := <-closes:
			if e != nil {
				c.err = e
			}
			if stuck != nil {
				c.err = stuck // the library only saw that the transport was closed
			}
			_ = c.wire.Close() // frees a publisher that waits in Write
			c.gate.set(false)
			close(c.lost)
			return
		case block, ok := <-blocks:
			if !ok {
				blocks = nil
				continue
			}
			if c.gate.set(block.Active) {
				if block.Active {
					log.Warn("broker has blocked the connection", "reason", block.Reason)
				} else {
					log.Info("broker has unblocked the connection")
				}
			}
		case <-tick.C:
			if stuck == nil && c.wire.stuck(b.cfg.WriteTimeout) {
				stuck = fmt.Errorf("a write took longer than %v", b.cfg.WriteTimeout)
				c.wire.fail(stuck)
			}
		}
	}
}

// maxUnheard is how many channels of a connection the broker may leave without an answer
// before another connection, if possible to another host, is tried. A node of RabbitMQ that
// was parted from the leader of a quorum queue may not answer for minutes, on any channel,
// while the others do.
const maxUnheard = 2

// deaf notes that the broker has not answered a publish in time, and gives the connection
// up if it goes on like that.
func (c *conn) deaf() {
	if c.unheard.Add(1) >= maxUnheard {
		c.wire.fail(errUnheard)
	}
}

// hears notes that the broker has answered a publish in time.
func (c *conn) hears() {
	if c.unheard.Load() != 0 {
		c.unheard.Store(0)
	}
}

var errUnheard = fmt.Errorf("the broker has not answered publishes in time on %d channels in a row", maxUnheard)

// isLost reports whether the connection has ended.
func (c *conn) isLost() bool {
	select {
	case <-c.lost:
		return true
	default:
		return false
	}
}

// ends reports whether err, which a call on c returned, came of the connection's
// end, and then waits for that to be noted. Otherwise the broker has refused
// the call, or ctx has ended.
func (c *conn) ends(ctx context.Context, err error) bool {
	var e *amqp091.Error
	if ctx.Err() != nil || errors.Is(err, amqp091.ErrChannelMax) || errors.As(err, &e) && e.Server && e.Recover {
		return false
	}
	c.wire.fail(err) // if it has not ended yet, it is of no use
	<-c.lost
	return true
}

// why returns why the connection has ended, and err if it has not, or not of itself.
func (c *conn) why(err error) error {
	if !c.lib.IsClosed() {
		return err
	}
	<-c.lost
	if c.err != nil {
		return c.err
	}
	return err
}

// close ends the connection in order, at most for limit, and waits for its
// goroutines.
func (c *conn) close(limit time.Duration) {
	if !c.isLost() {
		kill := time.AfterFunc(limit, func() { _ = c.wire.Close() })
		_ = c.lib.Close() // an error means that it is closed already
		kill.Stop()
	}
	_ = c.wire.Close()
	c.tasks.close()
	c.wire.wg.Wait()
}

// closeUnless closes in order, and at once when hard ends.
func (c *conn) closeUnless(hard context.Context) {
	defer context.AfterFunc(hard, func() { _ = c.wire.Close() })()
	c.close(closeTimeout)
}

// call runs f, which talks to the broker through the library and so does not
// know ctx, and returns its error, or ctx's if that ends first. F then runs on
// until the broker answers or the connection is lost; it must share nothing
// with the caller.
func (c *conn) call(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	if !c.tasks.run(func() { result <- f() }) {
		return errDead
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// channel opens a channel and sets it up, until ctx ends.
func (c *conn) channel(ctx context.Context, setUp func(*amqp091.Channel) error) (*amqp091.Channel, error) {
	type opened struct {
		ch  *amqp091.Channel
		err error
	}
	result := make(chan opened)
	if !c.tasks.run(func() {
		ch, err := c.lib.Channel()
		if err == nil {
			if err = setUp(ch); err != nil {
				_ = ch.Close() // the set-up's error says more
			}
		}
		select {
		case result <- opened{ch, err}:
		case <-ctx.Done(): // nobody waits for it any more
			if err == nil {
				_ = ch.Close()
			}
		}
	}) {
		return nil, errDead
	}
	select {
	case r := <-result:
		return r.ch, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// pause returns how long to wait before the attempt after n failures: doubling
// with full jitter, never shorter than least.
func (b *Broker) pause(n int, least time.Duration) time.Duration {
	d := b.cfg.Backoff.Max
	if n < 30 {
		d = min(d, b.cfg.Backoff.Initial<<n)
	}
	d = time.Duration(rand.Int64N(int64(d)) + 1)
	return max(d, least)
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
