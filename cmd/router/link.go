package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/telemetry/otlp"
	"github.com/wasmrouter/router/transport"
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

	traces *otlp.Exporter // once connected; nil when nobody wants traces
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
	l.brokerFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&l.format, "format", "f", "", "how messages are written: plain or oslo (oslo.messaging); the default is what the address is for: plain for queues and exchanges, oslo for the rest")
	f.StringVar(&l.exchange, "exchange", "", "topic exchange of --topic (default "+router.DefaultExchange+")")
	f.StringVar(&l.topic, "topic", "", "address by topic, as oslo.messaging does")
	f.BoolVar(&l.durable, "durable", false, "declare oslo.messaging's exchanges and queues durable (amqp_durable_queues)")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"plain", "oslo"}, cobra.ShellCompDirectiveNoFileComp))
}

// brokerFlags are those that say how the broker is reached.
func (l *link) brokerFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.url, "url", "", urlUsage+"; oslo.messaging's transport URL is one too (default "+config.DefaultURL+")")
	f.StringVarP(&l.config, "config", "c", "", "take the broker from this configuration file")
	f.BoolVar(&l.plaintext, "allow-plaintext", false, "send the password in clear over amqp:// to another machine")
	f.DurationVar(&l.timeout, "timeout", 30*time.Second, "bound for connecting, publishing and waiting")
	f.BoolVarP(&l.verbose, "verbose", "v", false, "log connecting and losses to standard error")
	cmd.MarkFlagsMutuallyExclusive("url", "config")
	_ = cmd.MarkFlagFilename("config", "toml")
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

// connect returns a connected transport to the broker that the flags name.
func (l *link) connect(cmd *cobra.Command) (*transport.Transport, error) {
	if l.timeout <= 0 {
		return nil, fmt.Errorf("--timeout %s: it is more than 0", l.timeout)
	}
	format, err := rpc.ParseFormat(l.format)
	if err != nil {
		return nil, err
	}
	switch {
	case l.flat:
		format = rpc.Oslo{Flat: true}
	case l.format == "oslo":
		format = nil // the URL's, which may be compressed
	}
	opts := transport.Options{
		Name: "router-" + cmd.Name(), Exchange: l.exchange, Format: format, Timeout: l.timeout,
		AllowPlaintext: l.plaintext,
		Layout:         func(to *rpc.Layout) { to.Durable = to.Durable || l.durable },
		Logger:         l.logger(cmd),
	}
	t, err := l.open(cmd.Context(), opts)
	switch {
	case errors.Is(err, amqp.ErrPlaintext):
		return nil, fmt.Errorf("%w; use amqps:// or rabbits://, or --allow-plaintext", amqp.ErrPlaintext)
	case err != nil:
		return nil, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
	defer cancel()
	if err := t.Broker().Connect(ctx); err != nil {
		l.close(t)
		if _, network := errors.AsType[net.Error](err); network {
			err = fmt.Errorf("%w; is the broker running? --url, ROUTER_URL or -c name another, and router broker is one to try things with", err)
		}
		return nil, l.failed(err)
	}
	return t, nil
}

// open returns a transport to the broker of the configuration file, or else of
// the URL. Its messages are followed if the file or the environment asks for
// traces.
func (l *link) open(ctx context.Context, opts transport.Options) (*transport.Transport, error) {
	var broker amqp.Config
	var traces otlp.Config
	var err error
	if l.config != "" {
		if broker, traces, err = app.LinkConfig(l.config); err != nil {
			return nil, err
		}
	}
	traces.Version, traces.Logger = build().Version, opts.Logger
	if l.traces, err = otlp.Open(ctx, traces); err != nil {
		return nil, err
	}
	opts.Tracer = l.tracer()
	if l.config == "" {
		return transport.Open(cmp.Or(brokerURL(l.url), config.DefaultURL), opts)
	}
	broker.Topology = amqp.Topology{}
	return transport.New(broker, opts)
}

// tracer is what follows messages; nil is nothing.
func (l *link) tracer() rpc.Tracer {
	if l.traces == nil {
		return nil
	}
	return l.traces
}

// logger logs what happens below with --verbose, and else nothing.
func (l *link) logger(cmd *cobra.Command) *slog.Logger {
	if !l.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
}

// close closes what connect has made.
func (l *link) close(t *transport.Transport) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = t.Close(ctx) // the work is done or has failed already
	if l.traces != nil {
		_ = l.traces.Close(ctx) // so is the message
	}
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
func (l *link) ensure(cmd *cobra.Command, t *transport.Transport, sources []router.Source) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
	defer cancel()
	return rpc.Ensure(ctx, t.Broker().Declare, sources)
}

// names lists what the sources are called.
func names(sources []router.Source) string {
	list := make([]string, len(sources))
	for i, s := range sources {
		list[i] = s.Queue
	}
	return strings.Join(list, ", ")
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
	t, err := l.connect(cmd)
	if err != nil {
		return err
	}
	defer l.close(t)
	ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
	defer cancel()
	if err := operation(ctx, t.Client()); err != nil {
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
