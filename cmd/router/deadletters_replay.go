package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/deadletters"
	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/router"
)

// letterReplayFlags are how letters are sent again.
type letterReplayFlags struct {
	lettersFlags
	all    bool
	to     string
	edit   string
	filter workbench.Options
	o      deadletters.Replay
}

func newDeadLettersReplay() *cobra.Command {
	var f letterReplayFlags
	cmd := &cobra.Command{
		Use:   "replay QUEUE [ID...]",
		Short: "Send dead letters again, to where they came from or elsewhere",
		Long: `replay sends letters again: those with the IDs, those that meet the conditions, or
with --all every one that is there when it begins. Each goes to the queue that it
was consumed from, or to --to, as it was received: x-router-* headers are taken
off. CC and BCC are too, whose copies were made before.

A letter leaves its queue only when the broker has confirmed that another queue has
the message. So nothing is lost if replay is interrupted or killed; of the letters
that were on their way, 32 at most and of a quorum queue some more, some may then
come twice. A letter that cannot be sent stays where it is and is reported.

--edit passes each message through a filter, in all stages that the filter has,
before it is sent: a project's directory, a .wasm file or stock:NAME. Only what it
changes in the message counts, not where it would send it; what it drops or rejects
stays in the queue. The filter sees the body as it is on the wire.

-c names a configuration for letters that had no room to say which queue they came
from: there their route's is found.`,
		Example: `  router dead-letters replay orders.in.dead 3f9a6c21d07be854
  router dead-letters replay orders.in.dead --reason unroutable --rate 100
  router dead-letters replay orders.in.dead --all --to queue:orders.check --limit 10
  router dead-letters replay orders.in.dead --filter orders --edit ./fix --dry-run`,
		Args: queueArgument,
	}
	f.flags(cmd)
	f.selection(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.all, "all", false, "every letter")
	flags.StringVar(&f.to, "to", "", "send to this TARGET, such as queue:NAME or exchange:NAME/KEY, in place of where each came from")
	flags.StringVar(&f.edit, "edit", "", "pass each message through this filter first")
	flags.StringVar(&f.filter.Config, "edit-config", "", "the filter's configuration as a JSON object, in place of its own")
	flags.StringSliceVar(&f.filter.Grants, "edit-grant", nil, "give the filter a grant")
	flags.Float64Var(&f.o.Rate, "rate", 0, "send so many in a second at most; 0 is as fast as they are confirmed")
	flags.IntVarP(&f.o.Limit, "limit", "n", 0, "send so many at most; 0 sends all that are selected")
	flags.BoolVar(&f.o.DryRun, "dry-run", false, "do everything but send and remove, and print what would be sent")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.prepare(args[1:]); err != nil {
			return err
		}
		return f.onQueue(cmd, args[0], func(ctx context.Context, q *deadletters.Queue) error {
			if f.edit == "" {
				return f.replay(ctx, cmd, q)
			}
			return f.withEditor(ctx, cmd, func() error { return f.replay(ctx, cmd, q) })
		})
	}
	return cmd
}

// prepare reads the flags.
func (f *letterReplayFlags) prepare(ids []string) (err error) {
	switch {
	case f.o.Rate < 0 || math.IsNaN(f.o.Rate) || f.o.Rate > 1e6:
		return fmt.Errorf("--rate %v: it is from 0 to 1000000", f.o.Rate)
	case f.o.Limit < 0:
		return fmt.Errorf("--limit %d: it is 0 or more", f.o.Limit)
	case f.edit == "" && (f.filter.Config != "" || len(f.filter.Grants) > 0):
		return errors.New("--edit-config and --edit-grant are for --edit")
	}
	if f.to != "" {
		if f.o.To, err = router.ParseTarget(f.to); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
	}
	if f.o.Selection, err = f.selected(ids); err != nil {
		return err
	}
	if err := wholeQueue(&f.o.Selection, f.all); err != nil {
		return err
	}
	return f.check()
}

// withEditor does something with the filter of --edit at hand.
func (f *letterReplayFlags) withEditor(ctx context.Context, cmd *cobra.Command, do func() error) (err error) {
	s, err := workbench.Open(f.edit, f.filter)
	if err != nil {
		return fmt.Errorf("--edit: %w", err)
	}
	w, err := workbench.New(ctx, workbench.Config{Logger: slog.New(&wordsHandler{out: cmd.ErrOrStderr()})})
	if err != nil {
		return failed(err)
	}
	defer func() { err = errors.Join(err, failed(w.Close(context.WithoutCancel(ctx)))) }()
	source, err := w.Source(ctx, s)
	if err != nil {
		return fmt.Errorf("--edit: %w", err)
	}
	if f.o.Edit, err = deadletters.NewEditor(ctx, source); err != nil {
		return failed(err)
	}
	defer f.o.Edit.Close()
	return do()
}

func (f *letterReplayFlags) replay(ctx context.Context, cmd *cobra.Command, q *deadletters.Queue) error {
	bar := newBar(cmd.ErrOrStderr())
	n, complaints := 0, 0
	f.o.Each = func(s deadletters.Sent) {
		n++
		switch {
		case s.Err == nil && f.o.DryRun:
			fmt.Fprintf(cmd.ErrOrStderr(), "%s would go to %s with %d bytes of body, before %d\n", s.Letter.ID, s.Target, len(s.Message.Body), len(s.Letter.Original.Body))
		case s.Err == nil:
			bar.note(count(n, "letter"))
		case complaints == maxComplaints:
			complaints++
			bar.clear()
			fmt.Fprintln(cmd.ErrOrStderr(), "more letters stay; no more of them are named")
		case complaints < maxComplaints:
			complaints++
			bar.clear()
			fmt.Fprintf(cmd.ErrOrStderr(), "%s stays: %s\n", s.Letter.ID, clip(s.Err.Error(), 300))
		}
	}
	r, err := q.Replay(ctx, f.o)
	bar.clear()
	if f.output == "json" {
		err = errors.Join(err, printJSON(cmd, r))
	} else {
		verb := "sent again"
		if f.o.DryRun {
			verb = "would be sent again"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s, %d %s although selected, of %d ready in %s%s\n", count(r.Replayed, "letter"), verb, r.Failed, stay(r.Failed), r.Ready, word(q.Name), scanNote(r.Scan))
	}
	switch {
	case err != nil:
		return failed(fmt.Errorf("%w; what was not confirmed is still in %s", err, word(q.Name)))
	case len(r.Missing) > 0:
		return failed(fmt.Errorf("%s of %d not found, the first %s; another list, replay or consumer may have it at the moment", count(len(r.Missing), "letter"), len(f.o.Selection.IDs), r.Missing[0]))
	case r.Failed > 0:
		return failed(fmt.Errorf("%s could not be sent and %s in %s", count(r.Failed, "letter"), stay(r.Failed), word(q.Name)))
	}
	return nil
}

// stay is the verb for so many letters.
func stay(n int) string {
	if n == 1 {
		return "stays"
	}
	return "stay"
}

// maxComplaints is how many letters are named that stay.
const maxComplaints = 20
