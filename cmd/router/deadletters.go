package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/deadletters"
	"github.com/wasmrouter/router/transport"
)

func newDeadLetters() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dead-letters",
		Aliases: []string{"dl"},
		Short:   "List, show, replay and purge dead letters",
		Long: `dead-letters looks after queues of dead letters: what routes could not deliver, with
the reason, and also what RabbitMQ or others put there.

A letter's ID is made of all that it holds: it stays the same wherever the letter
is in its queue, and letters that are alike in every bit have the same one. Where
an ID is given, the first such letter is meant.

Letters that are looked at go back to where they were. A quorum queue counts that
as a delivery, and drops letters over its delivery limit (20 in RabbitMQ 4 unless
set otherwise). So that none is dropped, a letter that has been counted before is
renewed: it is sent to the end of its queue, and removed where it was once that is
confirmed. --delivery-limit says how often a letter may be looked at before that.

While letters are looked at, others do not see them: a list beside another one, or
beside a consumer of the queue, is shorter.`,
		Example: `  router dead-letters list -c router.toml
  router dead-letters list orders.in.dead --reason filter-trap
  router dead-letters show orders.in.dead 3f9a6c21d07be854 --body
  router dead-letters replay orders.in.dead --route orders --rate 50
  router dead-letters purge orders.in.dead --older-than 720h`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("%q is no command of %s; `%s --help` lists the commands", args[0], cmd.CommandPath(), cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadLettersList(), newDeadLettersShow(), newDeadLettersReplay(), newDeadLettersPurge())
	return cmd
}

// lettersFlags are how a queue of dead letters is reached, and which letters are
// meant.
type lettersFlags struct {
	link
	deliveries int
	output     string

	reason, route, filter  string
	olderThan, youngerThan time.Duration
	headers                []string
}

func (f *lettersFlags) flags(cmd *cobra.Command) {
	f.brokerFlags(cmd)
	f.format = "plain" // letters are as they are on the wire
	outputFlag(cmd, &f.output)
	cmd.Flags().IntVar(&f.deliveries, "delivery-limit", 1, "the delivery limit of a quorum queue: letters delivered so often are renewed; -1 if there is none")
}

func (f *lettersFlags) selection(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.reason, "reason", "", "letters with this reason, such as filter-trap, unroutable, or expired by the broker")
	flags.StringVar(&f.route, "route", "", "letters of this route")
	flags.StringVar(&f.filter, "filter", "", "letters of which this filter is the cause")
	flags.DurationVar(&f.olderThan, "older-than", 0, "letters of messages first seen so long ago, such as 36h; those that do not say are not meant")
	flags.DurationVar(&f.youngerThan, "younger-than", 0, "letters of messages first seen since, such as 10m")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "NAME or NAME=VALUE, repeatable: letters with this header")
}

// selected returns what the flags and ids select.
func (f *lettersFlags) selected(ids []string) (deadletters.Selection, error) {
	s := deadletters.Selection{
		IDs: ids, Reason: f.reason, Route: f.route, Filter: f.filter, OlderThan: f.olderThan, YoungerThan: f.youngerThan,
	}
	for _, h := range f.headers {
		m, err := deadletters.ParseMatch(h)
		if err != nil {
			return s, fmt.Errorf("--header: %w", err)
		}
		s.Headers = append(s.Headers, m)
	}
	return s, s.Validate()
}

// check refuses what no command on letters takes.
func (f *lettersFlags) check() error {
	if f.deliveries < -1 || f.deliveries == 0 {
		return fmt.Errorf("--delivery-limit %d: it is 1 or more, or -1 for none", f.deliveries)
	}
	return checkOutput(f.output)
}

// open connects to the broker and returns the queue. Names is what the
// configuration says, if there is one.
func (f *lettersFlags) open(cmd *cobra.Command, name string) (*transport.Transport, *deadletters.Queue, error) {
	q := &deadletters.Queue{Name: name, DeliveryLimit: f.deliveries}
	if f.config != "" {
		known, err := app.ReadDeadLetterQueues(f.config)
		if err != nil {
			return nil, nil, err
		}
		q.Source = known.Source
	}
	t, err := f.connect(cmd)
	if err != nil {
		return nil, nil, err
	}
	q.Broker = t.Broker()
	return t, q, nil
}

// onQueue opens a queue and does something with it.
func (f *lettersFlags) onQueue(cmd *cobra.Command, name string, do func(context.Context, *deadletters.Queue) error) error {
	t, q, err := f.open(cmd, name)
	if err != nil {
		return err
	}
	defer f.close(t)
	return do(cmd.Context(), q)
}

// queueArgument wants a QUEUE, and then what more there may be.
func queueArgument(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name the QUEUE of dead letters; `router dead-letters list -c router.toml` lists those of a configuration")
	}
	return nil
}

// errNothingSelected is for commands that do not take everything unless told to.
var errNothingSelected = errors.New("nothing is selected: give IDs, conditions such as --reason, or --all")

// wholeQueue refuses --all beside a selection, and neither.
func wholeQueue(sel *deadletters.Selection, all bool) error {
	switch {
	case sel.All() && !all:
		return errNothingSelected
	case !sel.All() && all:
		return errors.New("--all is every letter; leave it out, or the IDs and conditions")
	}
	return nil
}

// atRisk says what has become of letters that could not be renewed.
func scanNote(s deadletters.Scan) string {
	if s.Renewed == 0 {
		return ""
	}
	return fmt.Sprintf("; %s renewed at the end of the queue (see --delivery-limit)", count(s.Renewed, "letter"))
}

// age writes a time as long as one wants to know it.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return d.Truncate(time.Second).String()
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 72*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// clip shortens a text to at most n characters, on one line.
func clip(s string, n int) string {
	s = strings.ReplaceAll(safe(s), "\n", " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
