package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

func newID() string { return uuid.NewString() }

func addressFlags(cmd *cobra.Command, l *link) {
	cmd.Flags().StringVar(&l.server, "server", "", "one server of --topic")
	cmd.Flags().BoolVar(&l.fanout, "fanout", false, "every server of --topic")
}

const targetHelp = `TARGET is queue:NAME, exchange:NAME/ROUTING-KEY, topic:[EXCHANGE/]TOPIC,
server:[EXCHANGE/]TOPIC.SERVER, fanout:TOPIC or notify:[EXCHANGE/]TOPIC.PRIORITY.`

func newSend() *cobra.Command {
	var l link
	var m message
	cmd := &cobra.Command{
		Use:   "send [TARGET]",
		Short: "Send one message, or a cast, and wait until a queue has it",
		Long: `send publishes one message, persistent, mandatory and confirmed: it ends with
code 0 only when the broker has it in a queue. To a topic, a server or every
server of a topic it is a cast as oslo.messaging sends it, unless --format says
otherwise.

` + targetHelp,
		Example: `  router send queue:orders.in --body '{"type":"created"}' -H tenant=acme
  router send --topic compute --method reboot --args '{"id":7}'
  router send --topic compute --server host1 --method reboot --context '{"user_id":"u1"}'
  router send --topic compute --fanout --method refresh`,
		Args: oneArgument, ValidArgsFunction: complete(targetNames),
	}
	l.flags(cmd)
	m.flags(cmd)
	addressFlags(cmd, &l)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		to, err := l.target(args)
		if err != nil {
			return err
		}
		asOslo, err := l.oslo(byTopic(to) || isOslo(cmd))
		if err != nil {
			return err
		}
		var send func(context.Context, *rpc.Client) error
		if asOslo {
			req, err := m.request(cmd, true)
			if err != nil {
				return err
			}
			send = func(ctx context.Context, c *rpc.Client) error { return c.Cast(ctx, to, req) }
		} else {
			env, err := m.envelope(cmd)
			if err != nil {
				return err
			}
			send = func(ctx context.Context, c *rpc.Client) error { return c.Send(ctx, to, &env) }
		}
		if err := l.with(cmd, send); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s has it\n", to)
		return nil
	}
	return cmd
}

func newCall() *cobra.Command {
	var l link
	var m message
	var output string
	cmd := &cobra.Command{
		Use:   "call [TARGET]",
		Short: "Send a request and print its reply",
		Long: `call sends a request and prints the reply's body, or its result as JSON if it is
a request as oslo.messaging sends it: one to a topic or a server is, unless
--format says otherwise. --timeout bounds all of it.

A failure that the server answers with goes to standard error, with -v its
traceback too, and the exit code is 2. With -o json the answer is one object in
any case, with "result" or "error", or for plain messages "body".

` + targetHelp,
		Example: `  router call queue:rpc.prices --body '{"sku":"a1"}'
  router call --topic compute --method ping --args '{}'
  router call --topic compute --server host1 --method oslo_rpc_server_ping
  router call --topic compute --namespace admin --rpc-version 2.1 --method migrate --args '{"id":7}' --monitor 10s --timeout 10m -o json`,
		Args: oneArgument, ValidArgsFunction: complete(targetNames),
	}
	l.flags(cmd)
	m.flags(cmd)
	addressFlags(cmd, &l)
	outputFlag(cmd, &output)
	cmd.Flags().DurationVar(&m.monitor, "monitor", 0, "fail when the server gives no sign of life for so long, 2s or more (oslo)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		to, err := l.target(args)
		if err != nil {
			return err
		}
		if to.Kind == router.TargetFanout {
			return errors.New("a call has one answer; send to a fanout instead")
		}
		asOslo, err := l.oslo(byTopic(to) || isOslo(cmd))
		if err != nil {
			return err
		}
		req, err := m.request(cmd, asOslo)
		if err != nil {
			return err
		}
		return l.with(cmd, func(ctx context.Context, c *rpc.Client) error {
			reply, err := c.Call(ctx, to, req)
			p := replyPrinter{out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), oslo: asOslo, json: output == "json", traceback: l.verbose}
			return p.print(reply, err)
		})
	}
	return cmd
}

func newNotify() *cobra.Command {
	var l link
	var n rpc.Notification
	var payload, osloContext string
	var headers []string
	cmd := &cobra.Command{
		Use:   "notify [TARGET]",
		Short: "Send a notification to a topic and priority",
		Long: `notify sends a notification as oslo.messaging does, or with --format plain the
payload as it is. Its queue TOPIC.PRIORITY is declared, so that the notification
waits there until somebody listens.

TARGET is notify:[EXCHANGE/]TOPIC.PRIORITY; --topic and --priority say the same.`,
		Example: `  router notify notify:notifications.info --event-type order.created --payload '{"id":7}'
  router notify --topic notifications --priority warn --event-type disk.full --context '{"user_id":"u1"}'
  router notify notify:orders.info --format plain --payload 'any text' -H tenant=acme`,
		Args: oneArgument,
	}
	l.flags(cmd)
	f := cmd.Flags()
	priority := f.String("priority", "info", "audit, debug, info, warn, error, critical or sample")
	f.StringVar(&n.EventType, "event-type", "", "what happened, such as order.created")
	f.StringVar(&n.PublisherID, "publisher", "router", "who tells")
	f.StringVar(&payload, "payload", "{}", "the payload; JSON with oslo")
	f.StringVar(&osloContext, "context", "", "context as a JSON object (oslo)")
	f.BoolVar(&l.flat, "v1", false, "without an envelope, as oslo.messaging's driver \"messaging\" sends it (oslo)")
	f.StringArrayVarP(&headers, "header", "H", nil, "NAME=VALUE, repeatable: a header, or with oslo a key of the context; VALUE is JSON or else a string")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		to, err := notifyTarget(&l, args, *priority)
		if err != nil {
			return err
		}
		asOslo, err := l.oslo(true)
		if err != nil {
			return err
		}
		n.Payload = []byte(payload)
		if asOslo {
			err = osloNotification(&n, osloContext, headers)
		} else {
			err = plainNotification(&n, osloContext != "" || l.flat, headers)
		}
		if err != nil {
			return err
		}
		if err := l.with(cmd, func(ctx context.Context, c *rpc.Client) error { return c.Notify(ctx, to, n) }); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s has it\n", to)
		return nil
	}
	return cmd
}

func osloNotification(n *rpc.Notification, text string, headers []string) (err error) {
	if n.EventType == "" || n.PublisherID == "" {
		return errors.New("--event-type and --publisher must not be empty; --format plain sends without")
	}
	if _, err := oslo.ParseRaw(n.Payload); err != nil {
		return fmt.Errorf("--payload %.200q is not JSON: %w; --format plain sends any text", n.Payload, err)
	}
	n.Context, err = contextOf(text, headers)
	return err
}

func plainNotification(n *rpc.Notification, foreign bool, headers []string) (err error) {
	if foreign {
		return errors.New("--context and --v1 are for --format oslo")
	}
	n.ContentType = "application/json"
	if !json.Valid(n.Payload) {
		n.ContentType = "text/plain"
	}
	n.Context, err = pairs("--header", headers)
	return err
}

func notifyTarget(l *link, args []string, priority string) (router.Target, error) {
	if len(args) == 1 {
		to, err := l.target(args)
		if err == nil && to.Kind != router.TargetNotify {
			err = fmt.Errorf("%s: notify takes notify:TOPIC.PRIORITY; send takes the others", to)
		}
		return to, err
	}
	if l.topic == "" {
		return router.Target{}, errors.New("nothing is addressed; name notify:TOPIC.PRIORITY, or --topic")
	}
	to := router.Target{Kind: router.TargetNotify, Exchange: l.exchange, Topic: l.topic, Priority: priority}
	return to, to.Validate()
}
