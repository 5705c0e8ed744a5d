package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/transport"
)

func newServe() *cobra.Command {
	var l link
	var program string
	var late bool
	var workers int
	cmd := &cobra.Command{
		Use:   "serve [QUEUE]",
		Short: "Answer calls with a program, or with an echo",
		Long: `serve answers the requests of a queue, or with --topic those of a topic as a
server of that name, as oslo.messaging does it unless --format says otherwise.
Without --exec it answers with what it was asked, and with -v it tells of each
request.

With --exec it runs the program for each request: the body, or the arguments as
JSON, are its standard input, and ROUTER_METHOD its environment, as are with
oslo ROUTER_NAMESPACE, ROUTER_VERSION and, as JSON, ROUTER_CONTEXT. What the
program prints is the reply, as JSON if it is, else as text. An exit code other
than 0 is a failure with what it printed to standard error.`,
		Example: `  router serve rpc.prices
  router serve --topic compute --server host1 -v
  router serve --topic compute --server host1 --exec ./answer.sh
  router serve --topic compute --exec 'jq -c .values|add' --workers 4`,
		Args: oneArgument, ValidArgsFunction: complete(queueNames),
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
		asOslo, err := l.oslo(l.topic != "")
		if err != nil {
			return err
		}
		answer := &answerer{program: strings.Fields(program), oslo: asOslo}
		if l.verbose {
			answer.log = cmd.ErrOrStderr()
		}
		t, err := l.connect(cmd)
		if err != nil {
			return err
		}
		defer l.close(t)
		return failed(serve(cmd, t, &l, args, answer, late, workers))
	}
	return cmd
}

func serve(cmd *cobra.Command, t *transport.Transport, l *link, queues []string, answer *answerer, late bool, workers int) error {
	ack := rpc.AckEarly
	if late {
		ack = rpc.AckLate
	}
	server, err := rpc.NewServer(rpc.ServerConfig{
		Listener: t.Broker(), Sender: t.Broker().Sender("serve"), Format: t.Format(), Ack: ack, Workers: workers,
		Tracer: l.tracer(),
	})
	if err != nil {
		return err
	}
	sources := existing(queues)
	if l.topic != "" {
		sources = t.Layout().Server(l.topic, l.server)
	}
	if err := l.ensure(cmd, t, sources); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "serving %s; interrupt to stop\n", names(sources))
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
	log      io.Writer  // is told of each request; may be nil
	mu       sync.Mutex // serializes writing to log
	answered atomic.Int64
}

func (a *answerer) handle(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
	defer a.answered.Add(1)
	if a.log != nil {
		a.mu.Lock()
		fmt.Fprintln(a.log, safe(requestLine(in)))
		a.mu.Unlock()
	}
	reply := rpc.Reply{ContentType: in.ContentType}
	if len(a.program) == 0 {
		reply.Payload, reply.Context = in.Payload, in.Context
		return reply, nil
	}
	out, err := a.run(ctx, in)
	if err != nil {
		return reply, err
	}
	reply.Payload = out
	if a.oslo {
		if _, err := oslo.ParseRaw(out); err != nil {
			reply.Payload = oslo.String(string(out))
		}
	}
	return reply, nil
}

// run runs the program for a request and returns what it prints.
func (a *answerer) run(ctx context.Context, in *rpc.Incoming) ([]byte, error) {
	cmd := exec.CommandContext(ctx, a.program[0], a.program[1:]...)
	cmd.Stdin = bytes.NewReader(in.Payload)
	cmd.Env = append(cmd.Environ(), "ROUTER_METHOD="+in.Method)
	if a.oslo {
		values, err := oslo.Marshal(in.Context)
		if err != nil {
			return nil, err
		}
		namespace := ""
		if in.Namespace != nil {
			namespace = *in.Namespace
		}
		cmd.Env = append(cmd.Env, "ROUTER_NAMESPACE="+namespace, "ROUTER_VERSION="+in.Version, "ROUTER_CONTEXT="+string(values))
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, &rpc.RemoteError{Class: "ProgramFailed", Module: "router", Message: strings.TrimSpace(err.Error() + ": " + errOut.String())}
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

// requestLine says on one line what a request wants.
func requestLine(in *rpc.Incoming) string {
	kind := "cast"
	if in.Ticket.Wanted() {
		kind = "call"
	}
	line := kind + " " + in.Method
	if in.Namespace != nil {
		line += " in " + *in.Namespace
	}
	if in.Version != "" {
		line += " " + in.Version
	}
	return fmt.Sprintf("%s: %.1000s", line, in.Payload)
}
