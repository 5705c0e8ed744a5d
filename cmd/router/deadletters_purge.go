package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/wasmrouter/router/app/deadletters"
)

func newDeadLettersPurge() *cobra.Command {
	var f lettersFlags
	var all, yes bool
	cmd := &cobra.Command{
		Use:   "purge QUEUE [ID...]",
		Short: "Remove dead letters for good",
		Long: `purge removes letters for good: those with the IDs, those that meet the conditions,
or with --all every one that is there when it begins. It counts them and asks first,
on a terminal; anywhere else it refuses to work without --yes.

What comes into the queue meanwhile stays: no more are removed than were counted.`,
		Example: `  router dead-letters purge orders.in.dead --older-than 720h
  router dead-letters purge orders.in.dead 3f9a6c21d07be854 --yes
  router dead-letters purge orders.in.dead --all`,
		Args: queueArgument,
	}
	f.flags(cmd)
	f.selection(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "every letter")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return err
		}
		sel, err := f.selected(args[1:])
		if err != nil {
			return err
		}
		if err := wholeQueue(&sel, all); err != nil {
			return err
		}
		in, isFile := cmd.InOrStdin().(*os.File)
		if !yes && (!isFile || !term.IsTerminal(int(in.Fd()))) {
			return errors.New("purge removes letters for good, and there is no terminal to ask on; --yes says that you mean it")
		}
		return f.onQueue(cmd, args[0], func(ctx context.Context, q *deadletters.Queue) error {
			return failed(purge(ctx, cmd, q, &sel, yes, f.output == "json"))
		})
	}
	return cmd
}

func purge(ctx context.Context, cmd *cobra.Command, q *deadletters.Queue, sel *deadletters.Selection, yes, asJSON bool) error {
	limit := 0
	if !yes {
		counted, err := q.Walk(ctx, sel, 0, func(*deadletters.Letter) bool { return true })
		if err != nil {
			return err
		}
		if counted.Matched > 0 && !confirmed(ctx, cmd, counted.Matched, counted.Ready, q.Name) {
			return errors.New("nothing is removed")
		}
		if limit = counted.Matched; limit == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "none of %d letters is selected\n", counted.Ready)
			return nil
		}
	}
	scan, err := q.Remove(ctx, sel, limit)
	if asJSON {
		return errors.Join(err, printJSON(cmd, scan))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s removed from %s%s\n", count(scan.Matched, "letter"), word(q.Name), scanNote(scan))
	return err
}

// confirmed asks whether so many letters are to go.
func confirmed(ctx context.Context, cmd *cobra.Command, n, of int, queue string) bool {
	fmt.Fprintf(cmd.ErrOrStderr(), "remove %s of %d from %s for good? [y/N] ", count(n, "letter"), of, word(queue))
	answer := make(chan string, 1)
	go func() { // it may wait for the terminal until the process ends
		line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes"
	case <-ctx.Done():
		return false
	}
}
