package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

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
		Args: cobra.MaximumNArgs(1),
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
		b, err := l.broker(cmd)
		if err != nil {
			return err
		}
		defer closeBroker(b)
		queues := args
		if l.topic != "" {
			var t rpc.Topology
			t, queues = l.layout().Listener(l.topic, priorities, pool)
			if err := rpc.Ensure(cmd.Context(), declare(b), t); err != nil {
				return failed(err)
			}
		}
		p := &messagePrinter{out: cmd.OutOrStdout(), format: format, json: output == "json", limit: limit, peek: peek}
		return failed(p.listen(cmd.Context(), b, queues))
	}
	return cmd
}

func closeBroker(b *amqp.Broker) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = b.Close(ctx) // the work is done or has failed already
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
func (p *messagePrinter) listen(ctx context.Context, b *amqp.Broker, queues []string) error {
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
	errs := make(chan error, len(queues))
	for _, q := range queues {
		go func() {
			src := router.Source{Queue: q, Prefetch: prefetch, DrainTimeout: time.Second, SingleLane: true}
			errs <- b.Listen(ctx, src, func(d *router.Delivery) { p.handle(d, enough) })
		}()
	}
	var all []error
	for range queues {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
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

// printedMessage is a message as JSON.
type printedMessage struct {
	Queue       string            `json:"queue"`
	Exchange    string            `json:"exchange"`
	RoutingKey  string            `json:"routing_key"`
	Redelivered bool              `json:"redelivered"`
	Properties  map[string]string `json:"properties"`
	Headers     map[string]any    `json:"headers"`
	Body        string            `json:"body,omitempty"`
	BodyBase64  string            `json:"body_base64,omitempty"`
}

func (p *messagePrinter) print(env *router.Envelope) {
	body := env.Body
	if text, err := p.format.Text(env); err == nil {
		body = text
	}
	m := printedMessage{
		Queue: env.Origin.Queue, Exchange: env.Origin.Exchange, RoutingKey: env.Origin.RoutingKey,
		Redelivered: env.Origin.Redelivered, Properties: properties(&env.Properties), Headers: printable(env.Headers()),
	}
	if utf8.Valid(body) {
		m.Body = string(body)
	} else {
		m.BodyBase64 = base64.StdEncoding.EncodeToString(body)
	}
	if p.json {
		enc := json.NewEncoder(p.out)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(m) // every part is a type that JSON has
		return
	}
	fmt.Fprintf(p.out, "%s (exchange %q, key %q)\n", m.Queue, m.Exchange, m.RoutingKey)
	for _, name := range slices.Sorted(maps.Keys(m.Properties)) {
		fmt.Fprintf(p.out, "  %s: %q\n", name, m.Properties[name])
	}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		fmt.Fprintf(p.out, "  header %s: %s\n", name, compact(m.Headers[name]))
	}
	if m.BodyBase64 != "" {
		fmt.Fprintf(p.out, "  %d bytes, base64: %s\n", len(body), m.BodyBase64)
		return
	}
	fmt.Fprintf(p.out, "  %s\n", safe(m.Body))
}

// safe escapes control characters, which could otherwise command the terminal.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '�'
		}
		return r
	}, s)
}

func compact(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return string(data)
}

func properties(p *router.Properties) map[string]string {
	m := map[string]string{
		"content_type": p.ContentType, "content_encoding": p.ContentEncoding, "correlation_id": p.CorrelationID,
		"reply_to": p.ReplyTo, "expiration": p.Expiration, "message_id": p.MessageID, "type": p.Type,
		"user_id": p.UserID, "app_id": p.AppID,
	}
	if p.DeliveryMode != 0 {
		m["delivery_mode"] = fmt.Sprint(p.DeliveryMode)
	}
	if p.Priority != 0 {
		m["priority"] = fmt.Sprint(p.Priority)
	}
	if !p.Timestamp.IsZero() {
		m["timestamp"] = p.Timestamp.UTC().Format(time.RFC3339)
	}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

// printable returns headers as values that JSON can hold.
func printable(headers map[string]any) map[string]any {
	m := make(map[string]any, len(headers))
	for name, v := range headers {
		m[name] = printableValue(v)
	}
	return m
}

func printableValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return printable(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = printableValue(v[i])
		}
		return list
	case float32, float64:
		if _, err := json.Marshal(v); err != nil {
			return fmt.Sprint(v)
		}
	case router.Decimal:
		return fmt.Sprintf("%de-%d", v.Value, v.Scale)
	}
	return v
}

func newServe() *cobra.Command {
	var l link
	var program string
	var late bool
	var workers int
	cmd := &cobra.Command{
		Use:   "serve [QUEUE]",
		Short: "Answer calls with a program, or with an echo",
		Long: `serve answers the requests of a queue, or with --topic those of a topic as a
server of that name. Without --exec it answers with what it was asked. With
--exec it runs the program for each request: the body, or with --format oslo the
arguments as JSON, are its standard input, ROUTER_METHOD its environment; what it
prints is the reply, and an exit code other than 0 a failure.`,
		Example: `  router serve rpc.prices
  router serve --format oslo --topic compute --server host1 --exec ./answer.sh`,
		Args: cobra.MaximumNArgs(1),
	}
	l.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&l.server, "server", "", "name of this server of --topic")
	f.StringVar(&program, "exec", "", "program that answers, with its arguments separated by spaces")
	f.BoolVar(&late, "ack-late", false, "acknowledge after the reply: nothing is lost, but a request may run twice")
	f.IntVar(&workers, "workers", 8, "how many requests are answered at once")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == (l.topic != "") {
			return errors.New("name a QUEUE, or --topic")
		}
		if workers < 1 || workers > 65535 {
			return fmt.Errorf("--workers %d: it is 1 to 65535", workers)
		}
		format, err := rpc.ParseFormat(l.format)
		if err != nil {
			return err
		}
		b, err := l.broker(cmd)
		if err != nil {
			return err
		}
		defer closeBroker(b)
		return failed(serve(cmd, b, &l, format, args, &answerer{program: strings.Fields(program), oslo: l.format == "oslo"}, late, workers))
	}
	return cmd
}

func serve(cmd *cobra.Command, b *amqp.Broker, l *link, format rpc.Format, queues []string, answer *answerer, late bool, workers int) error {
	ack := rpc.AckEarly
	if late {
		ack = rpc.AckLate
	}
	server, err := rpc.NewServer(rpc.ServerConfig{
		Listener: b, Sender: b.Sender("serve"), Format: format, Ack: ack, Workers: workers,
	})
	if err != nil {
		return err
	}
	if l.topic != "" {
		var t rpc.Topology
		t, queues = l.layout().Server(l.topic, l.server)
		if err := rpc.Ensure(cmd.Context(), declare(b), t); err != nil {
			return err
		}
	}
	var sources []router.Source
	for _, q := range queues {
		sources = append(sources, router.Source{Queue: q})
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "serving %s; interrupt to stop\n", strings.Join(queues, ", "))
	err = server.Serve(cmd.Context(), sources, answer.handle)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	server.Close(ctx)
	fmt.Fprintf(cmd.ErrOrStderr(), "answered %s\n", count(int(answer.answered.Load()), "request"))
	return err
}

// answerer answers requests with a program, or with what was asked.
type answerer struct {
	program  []string
	oslo     bool
	answered atomic.Int64
}

func (a *answerer) handle(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
	defer a.answered.Add(1)
	reply := rpc.Reply{ContentType: in.ContentType}
	if len(a.program) == 0 {
		reply.Payload, reply.Context = in.Payload, in.Context
		return reply, nil
	}
	input := in.Payload
	if a.oslo && input == nil {
		input = []byte("{}")
	}
	cmd := exec.CommandContext(ctx, a.program[0], a.program[1:]...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(cmd.Environ(), "ROUTER_METHOD="+in.Method)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return reply, &rpc.RemoteError{Class: "ProgramFailed", Module: "router", Message: strings.TrimSpace(err.Error() + ": " + errOut.String())}
	}
	reply.Payload = bytes.TrimRight(out.Bytes(), "\n")
	if a.oslo && !json.Valid(reply.Payload) {
		text, err := json.Marshal(string(reply.Payload))
		if err != nil {
			return reply, err
		}
		reply.Payload = text
	}
	return reply, nil
}
