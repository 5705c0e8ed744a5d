package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/rpc"
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
server of that name. Without --exec it answers with what it was asked. With
--exec it runs the program for each request: the body, or with --format oslo the
arguments as JSON, are its standard input, ROUTER_METHOD its environment; what it
prints is the reply, and an exit code other than 0 a failure.`,
		Example: `  router serve rpc.prices
  router serve --format oslo --topic compute --server host1 --exec ./answer.sh`,
		Args: oneArgument,
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
		b, err := l.connect(cmd)
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
	sources := existing(queues)
	if l.topic != "" {
		sources = l.layout().Server(l.topic, l.server)
	}
	if err := l.ensure(cmd, b, sources); err != nil {
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
