package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

func newListen() *cobra.Command {
	var l link
	var output, pool string
	var priorities []string
	var limit int
	var peek bool
	cmd := &cobra.Command{
		Use:   "listen [QUEUE]",
		Short: "Print the messages of a queue as they come",
		Long: `listen consumes a queue, or with --topic the notifications of a topic, and prints
each message. It ACKNOWLEDGES what it prints: the messages leave the queue. With
--peek they are given back at the end, at the cost of being marked redelivered.

With --format oslo the message out of its envelope is printed.`,
		Example: `  router listen orders.in.dead --peek --count 5
  router listen --format oslo --topic notifications --priority info,error -o json`,
		Args: oneArgument,
	}
	l.flags(cmd)
	outputFlag(cmd, &output)
	f := cmd.Flags()
	f.IntVarP(&limit, "count", "n", 0, "stop after so many messages; 0 goes on until interrupted")
	f.BoolVar(&peek, "peek", false, "give the messages back")
	f.StringSliceVar(&priorities, "priority", []string{"info"}, "priorities of --topic")
	f.StringVar(&pool, "pool", "", "listen to --topic in a queue of this name, which gets a copy of everything")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		if limit < 0 {
			return fmt.Errorf("--count %d: it is 0 or more", limit)
		}
		format, err := rpc.ParseFormat(l.format)
		if err != nil {
			return err
		}
		if (len(args) == 1) == (l.topic != "") {
			return errors.New("name a QUEUE, or --topic")
		}
		b, err := l.connect(cmd)
		if err != nil {
			return err
		}
		defer closeBroker(b)
		sources := existing(args)
		if l.topic != "" {
			sources = l.layout().Listener(l.topic, priorities, pool)
		}
		if err := l.ensure(cmd, b, sources); err != nil {
			return failed(err)
		}
		p := &messagePrinter{out: cmd.OutOrStdout(), format: format, json: output == "json", limit: limit, peek: peek}
		return failed(p.listen(cmd.Context(), b, sources))
	}
	return cmd
}

// messagePrinter prints deliveries and settles them.
type messagePrinter struct {
	out    io.Writer
	format rpc.Format
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
