// Package demo shows the router's main job in under a minute: real messages
// through real routes and filters on a real broker, and what became of each.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/router"
)

//go:embed config.toml
var configuration []byte

// arrivalTimeout bounds the wait for one message; the slowest takes a filter's
// start on a cold cache.
const arrivalTimeout = 20 * time.Second

// Options say where to run.
type Options struct {
	URL      string // of a broker; empty is one within the process
	RabbitMQ bool   // start a private RabbitMQ instead
	Out      io.Writer
}

// Run runs the demonstration. It returns an error when a message did not go
// where it should have.
func Run(ctx context.Context, opts Options) error {
	began := time.Now()
	p := &printer{out: opts.Out}
	url := opts.URL
	switch {
	case url != "":
	case opts.RabbitMQ:
		node, err := startNode(ctx, p)
		if err != nil {
			return err
		}
		defer node.Stop()
		url = node.URL()
	default:
		own := broker.New(broker.Config{})
		defer own.Close()
		address, err := own.Listen(ctx, "127.0.0.1:0")
		if err != nil {
			return err
		}
		url = "amqp://guest:guest@" + address + "/"
		p.line("broker: within this process, on %s (--rabbitmq starts a RabbitMQ, --url names yours)", address)
	}
	w, err := newWorld(ctx, url)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.start(ctx, p); err != nil {
		return err
	}
	var errs []error
	for i, s := range scenes {
		if err := w.play(ctx, p, i+1, s); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.line("")
	p.line("%d messages sent, all accounted for, in %.1f s. Nothing is left on the broker a minute from now.", len(scenes), time.Since(began).Seconds())
	p.line("Next: `router explain -c router.toml`, `router run -c router.toml`, docs/FILTERS.md.")
	return nil
}

func startNode(ctx context.Context, p *printer) (*rabbitnode.Node, error) {
	if err := rabbitnode.Find(); err != nil {
		return nil, fmt.Errorf("%w; or name a broker with --url amqp://HOST/", err)
	}
	p.line("starting a private RabbitMQ on loopback …")
	began := time.Now()
	node, err := rabbitnode.Start(ctx, rabbitnode.Config{})
	if err != nil {
		return nil, err
	}
	p.line("RabbitMQ on %s, started in %.1f s", node.Addr(), time.Since(began).Seconds())
	return node, nil
}

// world is the router and everybody around it: who sends, and who listens at
// the other end.
type world struct {
	prefix string
	dir    string
	app    *app.App
	broker *amqp.Broker
	sender router.Sender

	arrivals chan arrival
	stop     context.CancelFunc
	listen   sync.WaitGroup
}

// arrival is a message at the end of its way.
type arrival struct {
	queue string
	at    time.Time
	env   router.Envelope
}

// ends are the queues that messages may arrive in.
var ends = []string{"orders.created", "alerts.mail", "alerts.pager", "notifications.info", "readings.packed", "dead", "replies"}

func newWorld(ctx context.Context, url string) (*world, error) {
	w := &world{prefix: "demo-" + uuid.NewString()[:8], arrivals: make(chan arrival, 64)}
	var err error
	if w.dir, err = os.MkdirTemp("", "router-demo-"); err != nil {
		return nil, err
	}
	path := filepath.Join(w.dir, "router.toml")
	text := bytes.ReplaceAll(configuration, []byte("PREFIX"), []byte(w.prefix))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(w.dir))
	}
	// The URL is interpolated, so that a password in it is in no file.
	env := func(name string) (string, bool) { return url, name == "ROUTER_DEMO_URL" }
	if w.app, err = app.New(ctx, app.Options{ConfigPath: path, LogOutput: io.Discard, Env: env}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(w.dir))
	}
	w.broker, err = amqp.New(amqp.Config{URLs: []string{url}, ConnectionName: "router-demo-outside", AllowPlaintext: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) start(ctx context.Context, p *printer) error {
	if err := w.broker.Connect(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := w.app.Start(ctx); err != nil {
		return err
	}
	for {
		ready, reasons := w.app.Ready()
		if ready {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
		if time.Since(began) > arrivalTimeout {
			return fmt.Errorf("the router is not ready: %v", reasons)
		}
	}
	p.line("3 routes and 4 filters are up. orders: tenant → by_type; readings: pack; runaway: endless.")
	w.sender = w.broker.Sender("demo")
	listening, stop := context.WithCancel(ctx)
	w.stop = stop
	for _, end := range ends {
		queue := w.prefix + "." + end
		w.listener(listening, queue, func(d *router.Delivery) {
			w.arrivals <- arrival{end, time.Now(), d.Envelope}
			d.Settler.Ack(d.Tag)
		})
	}
	w.listener(listening, w.prefix+".orders.questions", w.answer(ctx))
	return nil
}

func (w *world) listener(ctx context.Context, queue string, handle func(*router.Delivery)) {
	w.listen.Go(func() {
		_ = w.broker.Listen(ctx, router.Source{Queue: queue, Prefetch: 10, DrainTimeout: time.Second}, handle)
	})
}

// answer is a service at the end of a route: it answers straight to the caller.
func (w *world) answer(ctx context.Context) func(*router.Delivery) {
	replies := w.broker.Sender("demo-answers")
	return func(d *router.Delivery) {
		reply := router.NewEnvelope(nil, []byte(`{"answer":"it ships tomorrow"}`))
		reply.CorrelationID = d.Envelope.CorrelationID
		reply.MessageID = d.Envelope.MessageID
		reply.ContentType = d.Envelope.ContentType
		to := router.Target{Kind: router.TargetQueue, Queue: d.Envelope.ReplyTo}
		_ = replies.Send(ctx, to, &reply, receipt(func(error) { d.Settler.Ack(d.Tag) }))
	}
}

// receipt is a function as a router.Receipt.
type receipt func(error)

// Settle implements router.Receipt.
func (r receipt) Settle(err error) { r(err) }

func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if w.stop != nil {
		w.stop()
		w.listen.Wait()
	}
	_ = w.app.Stop(ctx)
	if w.broker != nil {
		_ = w.broker.Close(ctx)
	}
	_ = os.RemoveAll(w.dir)
}
