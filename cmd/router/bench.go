package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/wasmrouter/router/app/bench"
)

func newBench() *cobra.Command {
	var opts bench.Options
	var output string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the router against the bare client library",
		Long: `bench forwards messages from one durable queue to another, persistent, confirmed
and acknowledged, with the bare amqp091-go loop and with the router in turn, and
prints messages per second, this process's CPU per message, and what was lost,
came twice or out of order, by sequence numbers.

Without --url it starts a private RabbitMQ on loopback.`,
		Args: noArguments,
	}
	outputFlag(cmd, &output)
	f := cmd.Flags()
	f.StringVar(&opts.URL, "url", "", urlUsage)
	f.IntVarP(&opts.Messages, "messages", "n", 50000, "messages in each run")
	f.IntSliceVar(&opts.Sizes, "size", []int{256, 4096}, "bytes of body")
	f.IntVar(&opts.Rounds, "rounds", 5, "runs of each side")
	f.IntVar(&opts.Prefetch, "prefetch", 256, "unacknowledged messages at once")
	f.BoolVar(&opts.Quorum, "quorum", false, "use quorum queues")
	f.BoolVar(&opts.Filter, "filter", true, "let a WebAssembly filter decide the target")
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
		report, err := bench.Measure(cmd.Context(), opts)
		return printReport(cmd, bar, output, report, err)
	}
	cmd.AddCommand(newBenchCalls())
	return cmd
}

// printReport prints what was measured, unless that failed.
func printReport(cmd *cobra.Command, b *bar, output string, report interface{ WriteText(w io.Writer) error }, err error) error {
	b.clear()
	if err != nil {
		return failed(err)
	}
	if output == "json" {
		return printJSON(cmd, report)
	}
	return report.WriteText(cmd.OutOrStdout())
}

// bar is a line that is rewritten on a terminal and silent elsewhere.
type bar struct {
	out  io.Writer
	last string
}

func newBar(w io.Writer) *bar {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bar{out: w}
	}
	return &bar{}
}

func (b *bar) set(done float64, what string) {
	const width = 30
	full := int(done * width)
	b.say(fmt.Sprintf("[%s%s] %3.0f %%  %s", strings.Repeat("#", full), strings.Repeat(".", width-full), done*100, what))
}

// say writes the line anew.
func (b *bar) say(line string) {
	if b.out == nil || line == b.last {
		return
	}
	b.last = line
	fmt.Fprintf(b.out, "\r%s\x1b[K", line)
}

// note shows a text in place of how much is done, which nobody knows.
func (b *bar) note(text string) {
	if b.out != nil && text != b.last {
		b.last = text
		fmt.Fprintf(b.out, "\r%s\x1b[K", text)
	}
}

func (b *bar) clear() {
	if b.out != nil {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}
