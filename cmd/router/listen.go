package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

func newListen() *cobra.Command {
	var l link
	var output, pool string
	var priorities []string
	var limit int
	var peek, requests bool
	cmd := &cobra.Command{
		Use:   "listen [QUEUE]",
		Short: "Print the messages of a queue, notifications or requests as they come",
		Long: `listen consumes a queue, or with --topic the notifications of a topic, and prints
each message. It ACKNOWLEDGES what it prints: the messages leave the queue. With
--peek they are given back at the end, at the cost of being marked redelivered.

With --requests it prints a copy of the calls, casts and fanouts of --topic, or of
its --server alone. Their servers get them as ever. As the copy has a queue too,
a request that no server listens to is not told to its sender meanwhile.

Messages of --topic are read as oslo.messaging's, those of a QUEUE with --format
oslo: what is inside of their envelope is printed, and with -o json is "message".`,
		Example: `  router listen orders.in.dead --peek --count 5
  router listen --topic notifications --priority info,error -o json
  router listen --topic notifications --pool audit
  router listen --topic compute --requests`,
		Args: oneArgument, ValidArgsFunction: complete(queueNames),
	}
	l.flags(cmd)
	outputFlag(cmd, &output)
	f := cmd.Flags()
	f.IntVarP(&limit, "count", "n", 0, "stop after so many messages; 0 goes on until interrupted")
	f.BoolVar(&peek, "peek", false, "give the messages back")
	f.StringSliceVar(&priorities, "priority", []string{"info"}, "priorities of --topic")
	f.StringVar(&pool, "pool", "", "listen to --topic in a queue of this name, which gets a copy of everything")
	f.BoolVar(&requests, "requests", false, "print a copy of the requests of --topic instead of notifications")
	f.StringVar(&l.server, "server", "", "of one server of --topic; for --requests")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		if limit < 0 {
			return fmt.Errorf("--count %d: it is 0 or more", limit)
		}
		if (len(args) == 1) == (l.topic != "") {
			return errors.New("name a QUEUE, or --topic")
		}
		switch {
		case requests && (l.topic == "" || peek || pool != "" || cmd.Flags().Changed("priority")):
			return errors.New("--requests is for --topic, and not for --peek, --pool or --priority")
		case l.server != "" && !requests:
			return errors.New("--server is for --requests")
		}
		asOslo, err := l.oslo(l.topic != "")
		if err != nil {
			return err
		}
		t, err := l.connect(cmd)
		if err != nil {
			return err
		}
		defer l.close(t)
		sources := existing(args)
		switch {
		case requests:
			sources = l.copies(t.Layout())
		case l.topic != "":
			sources = t.Layout().Listener(l.topic, priorities, pool)
		}
		if err := l.ensure(cmd, t, sources); err != nil {
			return failed(err)
		}
		p := &messagePrinter{out: cmd.OutOrStdout(), format: t.Format(), oslo: asOslo, json: output == "json", limit: limit, peek: peek}
		return failed(p.listen(cmd.Context(), t.Broker(), sources))
	}
	return cmd
}

// copyTTL is how long the queue for copies of requests outlives a listener that
// could not delete it.
const copyTTL = time.Minute

// copies is a queue that gets a copy of the requests of --topic.
func (l *link) copies(layout rpc.Layout) []router.Source {
	var exchanges []router.Exchange
	for _, s := range layout.Server(l.topic, l.server) {
		exchanges = append(exchanges, s.Topology.Exchanges...)
	}
	q := "router_listen_" + oslo.NewID()
	exchange, key := cmp.Or(layout.Exchange, router.DefaultExchange), l.topic+".#" // every server's, and the topic's own
	if l.server != "" {
		key = l.topic + "." + l.server
	}
	bindings := []router.Binding{{Exchange: exchange, Queue: q, Key: key}}
	if l.server == "" {
		bindings = append(bindings, router.Binding{Exchange: l.topic + "_fanout", Queue: q, Key: l.topic})
	}
	queue := router.Queue{Name: q, Durable: true, Arguments: map[string]any{"x-expires": int32(copyTTL.Milliseconds())}}
	return []router.Source{{Queue: q, Delete: true, Topology: router.Topology{
		Exchanges: exchanges, Queues: []router.Queue{queue}, Bindings: bindings,
	}}}
}

// messagePrinter prints deliveries and settles them.
type messagePrinter struct {
	out    io.Writer
	format rpc.Format
	oslo   bool
	json   bool
	limit  int
	peek   bool

	mu      sync.Mutex // serializes printing
	printed int
	kept    []*router.Delivery
}

// listen prints until ctx ends or the limit is reached.
func (p *messagePrinter) listen(ctx context.Context, b *amqp.Broker, sources []router.Source) error {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	prefetch := 100
	if p.limit > 0 {
		prefetch = min(p.limit, prefetch)
	}
	if p.peek {
		prefetch = 65535
		if p.limit > 0 {
			prefetch = min(p.limit, prefetch)
		}
	}
	group, ctx := errgroup.WithContext(ctx) // one that fails ends all
	for _, src := range sources {
		src.Prefetch, src.DrainTimeout, src.SingleLane = prefetch, time.Second, true
		group.Go(func() error {
			return b.Listen(ctx, src, func(d *router.Delivery) { p.handle(d, enough) })
		})
	}
	return group.Wait()
}

func (p *messagePrinter) handle(d *router.Delivery, enough func()) {
	p.mu.Lock()
	if p.limit > 0 && p.printed >= p.limit {
		p.mu.Unlock()
		d.Settler.Requeue(d.Tag)
		return
	}
	p.printed++
	p.print(&d.Envelope)
	done := p.limit > 0 && p.printed == p.limit
	var back []*router.Delivery
	if p.peek {
		p.kept = append(p.kept, d)
		if done {
			back = p.kept
		}
	}
	p.mu.Unlock()
	if !p.peek {
		d.Settler.Ack(d.Tag)
	}
	for _, d := range back {
		d.Settler.Requeue(d.Tag)
	}
	if done {
		enough()
	}
}
