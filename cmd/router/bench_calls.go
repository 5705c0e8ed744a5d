package main

import (
	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/bench/calls"
)

func newBenchCalls() *cobra.Command {
	var opts calls.Options
	var output string
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "Measure calls and casts against the bare client library and Python's oslo.messaging",
		Long: `calls makes calls and casts, as oslo.messaging puts them on the wire: with the Go
packages, with these and a router in proxy mode between them, with a bare
amqp091-go request and reply, and with Python's oslo.messaging if the interpreter
has it. Each side is a client and a server in processes of their own; they take
turns on one broker. It prints how long a call
took, calls and casts per second, both processes' CPU, and their connections.

Without --url it starts a private RabbitMQ on loopback.`,
		Args: noArguments,
	}
	outputFlag(cmd, &output)
	f := cmd.Flags()
	f.StringVar(&opts.URL, "url", "", urlUsage)
	f.IntVarP(&opts.Calls, "calls", "n", 4000, "calls, and then casts, in each run; Python makes a quarter")
	f.IntSliceVar(&opts.Callers, "callers", []int{1, 8, 64}, "how many call at once")
	f.IntVar(&opts.Rounds, "rounds", 5, "runs of each side")
	f.IntVar(&opts.Bytes, "bytes", 256, "length of the text that is sent and comes back")
	f.StringVar(&opts.Python, "python", "/usr/bin/python3", "interpreter with oslo.messaging; empty leaves it out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		if err := opts.Validate(); err != nil {
			return err
		}
		opts.URL = brokerURL(opts.URL)
		bar := newBar(cmd.ErrOrStderr())
		opts.Progress = bar.set
		report, err := calls.Measure(cmd.Context(), opts)
		return printReport(cmd, bar, output, report, err)
	}
	return cmd
}
