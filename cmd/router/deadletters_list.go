package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/deadletters"
)

func newDeadLettersList() *cobra.Command {
	var f lettersFlags
	var limit int
	cmd := &cobra.Command{
		Use:   "list [QUEUE]",
		Short: "List dead letters, or with -c the queues that routes have for them",
		Long: `list prints a line for each letter of a QUEUE, from its head, without bodies. With
-c and no QUEUE it prints the queues that the routes of a configuration write
their dead letters to, and how many are ready there (of a quorum queue the number
is some seconds old).

ID is what show, replay and purge take. AGE is since the router received the
message first, or since the broker dead-lettered it; - is not known. A REASON in
brackets is the broker's, from x-death, and - one that is not said.

With -o json there is one object a line. Letters are printed as they come, so a
large queue takes no more memory than a small one.`,
		Example: `  router dead-letters list -c router.toml
  router dead-letters list orders.in.dead --reason filter-trap --older-than 1h
  router dl list orders.in.dead -H tenant=acme --limit 0 -o json`,
		Args: oneArgument,
	}
	f.flags(cmd)
	f.selection(cmd)
	cmd.Flags().IntVarP(&limit, "limit", "n", 100, "print so many at most; 0 prints all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return err
		}
		if limit < 0 {
			return fmt.Errorf("--limit %d: it is 0 or more", limit)
		}
		sel, err := f.selected(nil)
		switch {
		case err != nil:
			return err
		case len(args) == 1:
			return f.onQueue(cmd, args[0], func(ctx context.Context, q *deadletters.Queue) error {
				return listLetters(ctx, cmd, q, &sel, limit, f.output == "json")
			})
		case f.config == "":
			return errors.New("name a QUEUE, or -c router.toml to list those of a configuration")
		case !sel.All():
			return errors.New("name a QUEUE of which to list the selected letters")
		}
		return f.listQueues(cmd)
	}
	return cmd
}

func listLetters(ctx context.Context, cmd *cobra.Command, q *deadletters.Queue, sel *deadletters.Selection, limit int, asJSON bool) error {
	out := cmd.OutOrStdout()
	now := time.Now()
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	shown := 0
	scan, err := q.Walk(ctx, sel, limit, func(l *deadletters.Letter) bool {
		if asJSON {
			_ = enc.Encode(l.Summary(now)) // every part is a type that JSON has
			return true
		}
		if shown == 0 {
			listLine(out, "ID", "AGE", "REASON", "ROUTE", "FILTER", "BYTES", "ERROR")
		}
		shown++
		since := "-"
		if d, ok := l.Age(now); ok {
			since = age(d)
		}
		listLine(out, l.ID, since, reasonOf(l), or(l.Route), or(l.Filter), fmt.Sprint(len(l.Original.Body)), clip(l.Error, 60))
		return true
	})
	if err != nil {
		return failed(err)
	}
	note := ""
	if limit > 0 && scan.Matched == limit && scan.Scanned < scan.Ready {
		note = "; --limit 0 prints all"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s of %d ready in %s%s%s\n", count(scan.Matched, "letter"), scan.Ready, word(q.Name), note, scanNote(scan))
	return nil
}

// listLine prints a row in columns that need not be known before.
func listLine(out io.Writer, id, since, reason, route, filter, size, text string) {
	line := fmt.Sprintf("%-16s  %5s  %-14s  %-16s  %-14s  %8s  %s", id, since, clip(reason, 24), clip(route, 32), clip(filter, 32), size, text)
	fmt.Fprintln(out, strings.TrimRight(line, " "))
}

// reasonOf is a letter's reason, in brackets if it is the broker's.
func reasonOf(l *deadletters.Letter) string {
	if l.Reason == "" && l.Why() != "" {
		return "(" + l.Why() + ")"
	}
	return or(l.Reason)
}

func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (f *lettersFlags) listQueues(cmd *cobra.Command) error {
	known, err := app.ReadDeadLetterQueues(f.config)
	if err != nil {
		return err
	}
	t, err := f.connect(cmd)
	if err != nil {
		return err
	}
	defer f.close(t)
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	lines := app.LetterQueuesOf(ctx, t.Broker(), known)
	if f.output == "json" {
		return printJSON(cmd, lines)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "QUEUE\tLETTERS\tCONSUMERS\tROUTES")
	for _, l := range lines {
		letters, consumers := fmt.Sprint(l.Messages), fmt.Sprint(l.Consumers)
		if l.Error != "" {
			letters, consumers = "?", "?"
			fmt.Fprintln(cmd.ErrOrStderr(), l.Error)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", word(l.Queue), letters, consumers, strings.Join(l.Routes, ", "))
	}
	return w.Flush()
}
