package main

import (
	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/demo"
)

func newDemo() *cobra.Command {
	var opts demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See messages go through routes and filters, in under a minute",
		Long: `demo runs three routes with the stock filters and sends a cast, a call, a
fanout, a notification, a message through a serializer, one that no queue takes,
one that is not what it should be, and one into a filter that loops for ever. It
prints where each went and why.

The broker is the embedded one, which needs nothing installed. With --rabbitmq it
is a private RabbitMQ on loopback, if rabbitmq-server is installed, which is
stopped afterwards. On a broker of yours, named by --url, the demo uses names of
its own, and nothing is left a minute later.`,
		Example: `  router demo
  router demo --rabbitmq
  router demo --url amqp://guest:guest@127.0.0.1:5672/`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&opts.URL, "url", "", urlUsage)
	cmd.Flags().BoolVar(&opts.RabbitMQ, "rabbitmq", false, "start a private RabbitMQ instead of the embedded broker")
	cmd.MarkFlagsMutuallyExclusive("url", "rabbitmq")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !opts.RabbitMQ {
			opts.URL = brokerURL(opts.URL)
		}
		opts.Out = cmd.OutOrStdout()
		return failed(demo.Run(cmd.Context(), opts))
	}
	return cmd
}
