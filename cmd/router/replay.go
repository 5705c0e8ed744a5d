package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/recording"
	"github.com/wasmrouter/router/router"
)

// replayFlags are those of router replay.
type replayFlags struct {
	recording.ReplayOptions
	filters []string
	output  string

	golden string
	each   int

	send bool
	to   string
	rate float64
	link link
}

func newReplay() *cobra.Command {
	f := replayFlags{link: link{format: "plain"}}
	cmd := &cobra.Command{
		Use:   "replay RECORDING...",
		Short: "Hold recorded messages against a configuration or a new filter, or send them again",
		Long: `replay passes recorded messages through the routes of a configuration, without
a broker, and shows of which something else would become than what was recorded:
decision by decision, then the counts. It exits with 1 when something differs,
or when there is no message.
Recordings come from router record; one that breaks off is read up to there.

With --golden it makes cases for router test of them instead, one for each thing
that happens to messages. With --send it publishes them again, as they were
received, to the queue that each came from or to --to.`,
		Example: `  router replay orders.rec -c router.toml
  router replay orders.rec.1 orders.rec --filter by_type=./by-type --route orders
  router replay orders.rec --golden orders.test.toml
  router replay orders.rec --send --to queue:orders.try --rate 50`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("name a recording; see `%s --help`", cmd.CommandPath())
			}
			return nil
		},
	}
	f.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(f.output); err != nil {
			return err
		}
		f.Files = args
		for _, name := range []string{"to", "rate", "url", "allow-plaintext", "timeout"} {
			if cmd.Flags().Changed(name) && !f.send {
				return fmt.Errorf("--%s is for --send", name)
			}
		}
		if cmd.Flags().Changed("each") && f.golden == "" {
			return errors.New("--each is for --golden")
		}
		switch {
		case f.golden != "":
			return f.makeGolden(cmd)
		case f.send:
			return f.sendAgain(cmd)
		}
		return f.compare(cmd)
	}
	return cmd
}

func (f *replayFlags) flags(cmd *cobra.Command) {
	outputFlag(cmd, &f.output)
	configFlag(cmd, &f.Config)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.Routes, "route", nil, "take the messages of this route; may be repeated (default all)")
	_ = cmd.RegisterFlagCompletionFunc("route", completeFlag(routeNames))
	flags.StringArrayVar(&f.filters, "filter", nil, "NAME=PATH: use this module for a filter of the configuration; a project's directory, a .wasm file or stock:NAME")
	flags.StringArrayVar(&f.Ignore, "ignore", nil, "let this differ: body, error, header:NAME or property:NAME; may be repeated")
	flags.IntVar(&f.Limit, "limit", 20, "how many messages that differ to show; all are counted")
	flags.StringVar(&f.golden, "golden", "", "make cases for router test of the recording, in this new file")
	flags.IntVar(&f.each, "each", 1, "with --golden, how many cases for each thing that happens to messages")
	flags.BoolVar(&f.send, "send", false, "send the messages again")
	flags.StringVar(&f.to, "to", "", "with --send, the target of all messages (default the queue that each came from)")
	flags.Float64Var(&f.rate, "rate", 100, "with --send, messages a second")
	flags.StringVar(&f.link.url, "url", "", "with --send, the "+urlUsage+" (default the broker of the configuration)")
	flags.BoolVar(&f.link.plaintext, "allow-plaintext", false, "with --send, send the password in clear over amqp:// to another machine")
	flags.DurationVar(&f.link.timeout, "timeout", 30*time.Second, "with --send, bound for connecting")
	for _, name := range []string{"send", "config", "filter", "limit"} {
		cmd.MarkFlagsMutuallyExclusive("golden", name)
	}
	for _, name := range []string{"filter", "limit", "ignore"} {
		cmd.MarkFlagsMutuallyExclusive("send", name)
	}
	_ = cmd.MarkFlagFilename("golden", "toml")
}

// compare prints what would change.
func (f *replayFlags) compare(cmd *cobra.Command) error {
	if f.Limit < 0 {
		return fmt.Errorf("--limit %d: it is 0 or more", f.Limit)
	}
	f.Filter = map[string]string{}
	for _, s := range f.filters {
		name, path, ok := strings.Cut(s, "=")
		if !ok || name == "" || path == "" {
			return fmt.Errorf("--filter %q: write it as NAME=PATH", s)
		}
		f.Filter[name] = path
	}
	line := newBar(cmd.ErrOrStderr())
	f.Progress = func(n int) { line.say(fmt.Sprintf("%d replayed", n)) }
	f.Logger = slog.New(&wordsHandler{out: cmd.ErrOrStderr()})
	r, err := recording.Replay(cmd.Context(), f.ReplayOptions)
	line.clear()
	if err != nil {
		return err
	}
	if f.output == "json" {
		err = printJSON(cmd, r)
	} else {
		err = r.WriteText(cmd.OutOrStdout())
	}
	switch {
	case err != nil:
		return err
	case r.Messages == 0:
		return f.nothing("was replayed")
	case r.Different > 0:
		return silent(fmt.Errorf("%d messages differ", r.Different))
	}
	return nil
}

// nothing is the error of recordings without a message.
func (f *replayFlags) nothing(done string) error {
	of := ""
	if len(f.Routes) > 0 {
		of = " of --route " + strings.Join(f.Routes, ", ")
	}
	return fmt.Errorf("nothing %s: there is no message%s in %s for that", done, of, strings.Join(f.Files, ", "))
}

// makeGolden writes cases.
func (f *replayFlags) makeGolden(cmd *cobra.Command) error {
	if f.each < 1 {
		return fmt.Errorf("--each %d: it is 1 at least", f.each)
	}
	g, err := recording.MakeGolden(recording.GoldenOptions{Files: f.Files, Out: f.golden, Routes: f.Routes, Ignore: f.Ignore, Each: f.each})
	if err != nil {
		return err
	}
	if f.output == "json" {
		return printJSON(cmd, g)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d cases of %d messages in %s; read them before you believe them\n", g.Cases, g.Messages, safe(g.File))
	if g.Left > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "the file has no room for the cases of %d messages\n", g.Left)
	}
	return nil
}

// sendAgain publishes what was received.
func (f *replayFlags) sendAgain(cmd *cobra.Command) error {
	if f.rate <= 0 {
		return fmt.Errorf("--rate %v: it is more than 0", f.rate)
	}
	var to router.Target
	if f.to != "" {
		var err error
		if to, err = router.ParseTarget(f.to); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
	}
	if f.link.url == "" && (cmd.Flags().Changed("config") || brokerURL("") == "") {
		f.link.config = f.Config
	}
	t, err := f.link.connect(cmd)
	if err != nil {
		return err
	}
	defer f.link.close(t)
	sender := t.Broker().Sender("replay")
	defer sender.Close()
	line := newBar(cmd.ErrOrStderr())
	report, err := recording.Send(cmd.Context(), sender, recording.SendOptions{
		Files: f.Files, Routes: f.Routes, To: to, Rate: f.rate,
		Progress: func(n int) { line.say(fmt.Sprintf("%d sent", n)) },
	})
	line.clear()
	err = failed(err)
	if err == nil && report.Sent == 0 {
		err = f.nothing("was sent")
	}
	if f.output == "json" {
		return errors.Join(printJSON(cmd, report), err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s sent and confirmed, %d failed\n", count(report.Sent, "message"), report.Failed)
	for _, torn := range report.Torn {
		fmt.Fprintf(cmd.OutOrStdout(), "%s; what comes before was sent\n", safe(torn))
	}
	return err
}
