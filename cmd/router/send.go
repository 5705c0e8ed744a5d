package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

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
		Short: "Send one message and wait until a queue has it",
		Long: `send publishes one message, persistent, mandatory and confirmed: it ends with
code 0 only when the broker has it in a queue. With --format oslo it is a cast.

` + targetHelp,
		Example: `  router send queue:orders.in --body '{"type":"created"}' -H tenant=acme
  router send --format oslo --topic compute --method reboot --args '{"id":7}'
  router send --format oslo --topic compute --fanout --method refresh`,
		Args: oneArgument,
	}
	l.flags(cmd)
	m.flags(cmd)
	addressFlags(cmd, &l)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		to, err := l.target(args)
		if err != nil {
			return err
		}
		var send func(context.Context, *rpc.Client) error
		if l.format == "plain" {
			env, err := m.envelope(cmd)
			if err != nil {
				return err
			}
			send = func(ctx context.Context, c *rpc.Client) error { return c.Send(ctx, to, &env) }
		} else {
			req, err := m.request(cmd, l.format)
			if err != nil {
				return err
			}
			send = func(ctx context.Context, c *rpc.Client) error {
				if to.Kind == router.TargetFanout {
					return c.Fanout(ctx, to.Topic, req)
				}
				return c.Cast(ctx, to, req)
			}
		}
		c, closeAll, err := l.client(cmd)
		if err != nil {
			return err
		}
		defer closeAll()
		ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
		defer cancel()
		if err := send(ctx, c); err != nil {
			return l.failed(err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s has it\n", to)
		return nil
	}
	return cmd
}

func newCall() *cobra.Command {
	var l link
	var m message
	var monitor time.Duration
	cmd := &cobra.Command{
		Use:   "call [TARGET]",
		Short: "Send a request and print its reply",
		Long: `call sends a request and prints the reply's body, or with --format oslo its
result as JSON. --timeout bounds all of it. A failure that the server answers
with goes to standard error, and the exit code is 2.

` + targetHelp,
		Example: `  router call queue:rpc.prices --body '{"sku":"a1"}'
  router call --format oslo --topic compute --method ping --args '{}'`,
		Args: oneArgument,
	}
	l.flags(cmd)
	m.flags(cmd)
	addressFlags(cmd, &l)
	cmd.Flags().DurationVar(&monitor, "monitor", 0, "fail when the server gives no sign of life for so long, 2s or more (oslo)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		to, err := l.target(args)
		if err != nil {
			return err
		}
		if to.Kind == router.TargetFanout {
			return errors.New("a call has one answer; send to a fanout instead")
		}
		req, err := m.request(cmd, l.format)
		if err != nil {
			return err
		}
		req.Monitor = monitor
		c, closeAll, err := l.client(cmd)
		if err != nil {
			return err
		}
		defer closeAll()
		ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
		defer cancel()
		reply, err := c.Call(ctx, to, req)
		if err != nil {
			return l.failed(err)
		}
		payload := reply.Payload
		if l.format == "oslo" && payload == nil {
			payload = []byte("null")
		}
		_, err = cmd.OutOrStdout().Write(append(payload, '\n'))
		return err
	}
	return cmd
}

func newNotify() *cobra.Command {
	var l link
	var n rpc.Notification
	var payload string
	var headers []string
	cmd := &cobra.Command{
		Use:   "notify [TARGET]",
		Short: "Send a notification to a topic and priority",
		Long: `notify sends a notification. Its queue TOPIC.PRIORITY is declared, so that the
notification waits there until somebody listens.

TARGET is notify:[EXCHANGE/]TOPIC.PRIORITY; --topic and --priority say the same.`,
		Example: `  router notify notify:notifications.info --event-type order.created --payload '{"id":7}'
  router notify --format oslo --topic notifications --priority warn --event-type disk.full --payload '{}'`,
		Args: oneArgument,
	}
	l.flags(cmd)
	f := cmd.Flags()
	priority := f.String("priority", "info", "audit, debug, info, warn, error, critical or sample")
	f.StringVar(&n.EventType, "event-type", "", "what happened, such as order.created")
	f.StringVar(&n.PublisherID, "publisher", "router", "who tells")
	f.StringVar(&payload, "payload", "{}", "the payload; JSON with --format oslo")
	f.StringArrayVarP(&headers, "header", "H", nil, "NAME=VALUE, repeatable: a header, or with --format oslo a key of the context")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		to, err := notifyTarget(&l, args, *priority)
		if err != nil {
			return err
		}
		if n.Context, err = pairs("--header", headers); err != nil {
			return err
		}
		n.Payload = []byte(payload)
		if l.format == "plain" {
			n.ContentType = "application/json"
		}
		c, closeAll, err := l.client(cmd)
		if err != nil {
			return err
		}
		defer closeAll()
		ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
		defer cancel()
		if err := c.Notify(ctx, to, n); err != nil {
			return l.failed(err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s has it\n", to)
		return nil
	}
	return cmd
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
