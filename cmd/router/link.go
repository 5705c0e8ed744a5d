package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// link is how the hand tools send, call, notify, listen and serve reach a
// broker and whom they address there.
type link struct {
	url      string
	config   string
	format   string
	timeout  time.Duration
	exchange string
	topic    string
	server   string
	fanout   bool
	durable  bool
	verbose  bool
	flat     bool // without oslo.messaging's envelope

	plaintext bool
}

// urlUsage describes --url. Its default is read when it is needed, so that
// --help does not print a password.
const urlUsage = "broker, amqp://USER:PASSWORD@HOST:PORT/VHOST; ROUTER_URL sets it without showing the password to other users"

// brokerURL returns the --url that was given, or else what ROUTER_URL says.
func brokerURL(flag string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv("ROUTER_URL")
}

func (l *link) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.url, "url", "", urlUsage+" (default "+config.DefaultURL+")")
	f.StringVarP(&l.config, "config", "c", "", "take the broker from this configuration file")
	f.StringVarP(&l.format, "format", "f", "", "how messages are written: plain or oslo (oslo.messaging); the default is what the address is for: plain for queues and exchanges, oslo for the rest")
	f.BoolVar(&l.plaintext, "allow-plaintext", false, "send the password in clear over amqp:// to another machine")
	f.DurationVar(&l.timeout, "timeout", 30*time.Second, "bound for connecting, publishing and waiting")
	f.StringVar(&l.exchange, "exchange", "", "topic exchange of --topic (default "+router.DefaultExchange+")")
	f.StringVar(&l.topic, "topic", "", "address by topic, as oslo.messaging does")
	f.BoolVar(&l.durable, "durable", false, "declare oslo.messaging's exchanges and queues durable (amqp_durable_queues)")
	f.BoolVarP(&l.verbose, "verbose", "v", false, "log connecting and losses to standard error")
	cmd.MarkFlagsMutuallyExclusive("url", "config")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"plain", "oslo"}, cobra.ShellCompDirectiveNoFileComp))
}

// oslo settles the format, and reports whether it is oslo.messaging's. Unless
// --format names it, meant does.
func (l *link) oslo(meant bool) (bool, error) {
	if l.format == "" {
		l.format = "plain"
		if meant {
			l.format = "oslo"
		}
	}
	_, err := rpc.ParseFormat(l.format)
	return l.format == "oslo", err
}

// byTopic reports whether the target is one of those that only oslo.messaging
// has.
func byTopic(t router.Target) bool {
	return t.Kind != router.TargetQueue && t.Kind != router.TargetExchange
}

// connect returns a connected adapter for the broker that the flags name.
func (l *link) connect(cmd *cobra.Command) (*amqp.Broker, error) {
	if l.timeout <= 0 {
		return nil, fmt.Errorf("--timeout %s: it is more than 0", l.timeout)
	}
	var cfg amqp.Config
	if l.config != "" {
		var err error
		if cfg, err = app.BrokerConfig(l.config); err != nil {
			return nil, err
		}
	} else if url := brokerURL(l.url); url != "" {
		cfg.URLs = []string{url}
	}
	cfg.ConnectionName = "router-" + cmd.Name()
	cfg.Topology = amqp.Topology{}
	cfg.AllowPlaintext = cfg.AllowPlaintext || l.plaintext
	if l.verbose {
		cfg.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	}
	b, err := amqp.New(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
	defer cancel()
	if err := b.Connect(ctx); err != nil {
		closeBroker(b)
		return nil, failed(err)
	}
	return b, nil
}

func closeBroker(b *amqp.Broker) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = b.Close(ctx) // the work is done or has failed already
}

// existing returns sources for queues that are there already: declaring them
// fails for one that is missing.
func existing(queues []string) []router.Source {
	sources := make([]router.Source, len(queues))
	for i, q := range queues {
		sources[i] = router.Source{Queue: q, Topology: router.Topology{Queues: []router.Queue{{Name: q, Passive: true}}}}
	}
	return sources
}

// ensure declares what the sources need, so that it is there before anything is
// said to be ready.
func (l *link) ensure(cmd *cobra.Command, b *amqp.Broker, sources []router.Source) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
	defer cancel()
	return rpc.Ensure(ctx, b.Declare, sources)
}

// names lists what the sources are called.
func names(sources []router.Source) string {
	list := make([]string, len(sources))
	for i, s := range sources {
		list[i] = s.Queue
	}
	return strings.Join(list, ", ")
}

func (l *link) layout() rpc.Layout {
	return rpc.Layout{Exchange: l.exchange, Durable: l.durable}
}

// target returns whom to address: the argument, or what the flags say.
func (l *link) target(args []string) (router.Target, error) {
	switch {
	case len(args) == 1 && l.topic == "":
		return router.ParseTarget(args[0])
	case len(args) == 1:
		return router.Target{}, fmt.Errorf("both TARGET %q and --topic %q are given; name one", args[0], l.topic)
	case l.topic == "":
		return router.Target{}, fmt.Errorf("nothing is addressed; name a TARGET such as queue:orders, or --topic")
	}
	t := router.Target{Kind: router.TargetTopic, Exchange: l.exchange, Topic: l.topic}
	switch {
	case l.fanout && l.server != "":
		return t, fmt.Errorf("--fanout addresses every server, --server one; name one of them")
	case l.fanout:
		t = router.Target{Kind: router.TargetFanout, Topic: l.topic}
	case l.server != "":
		t.Kind, t.Server = router.TargetServer, l.server
	}
	return t, t.Validate()
}

// with runs an operation with a client, within --timeout.
func (l *link) with(cmd *cobra.Command, operation func(context.Context, *rpc.Client) error) error {
	b, err := l.connect(cmd)
	if err != nil {
		return err
	}
	defer closeBroker(b)
	format, err := rpc.ParseFormat(l.format)
	if l.flat {
		format = rpc.Oslo{Flat: true}
	}
	if err != nil {
		return err
	}
	c, err := rpc.NewClient(rpc.ClientConfig{
		Sender: b.Sender(cmd.Name()), Listener: b, Declare: b.Declare,
		Format: format, Layout: l.layout(), Timeout: l.timeout,
	})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		c.Close(ctx)
	}()
	ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
	defer cancel()
	if err := operation(ctx, c); err != nil {
		return l.failed(err)
	}
	return nil
}

// failed marks the error of an operation as one of running, and says which flag
// bounds it when it took too long.
func (l *link) failed(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w; --timeout is %s", err, l.timeout)
	}
	return failed(err)
}
