package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/deadletters"
)

func newDeadLettersShow() *cobra.Command {
	var f lettersFlags
	var body string
	cmd := &cobra.Command{
		Use:   "show QUEUE ID",
		Short: "Show one dead letter: why it is one, and the message",
		Long: `show prints a letter's history, and properties and headers of the message as it was
received. The body is left out unless --body asks for it: as text, json (indented),
hex, or base64; without a value it is whichever of json, text and hex fits.`,
		Example: `  router dead-letters show orders.in.dead 3f9a6c21d07be854
  router dead-letters show orders.in.dead 3f9a6c21d07be854 --body
  router dead-letters show orders.in.dead 3f9a6c21d07be854 --body=hex
  router dl show orders.in.dead 3f9a6c21d07be854 --body -o json | jq .message.body_json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("name a QUEUE and the ID of a letter, as `router dead-letters list QUEUE` prints it")
			}
			return nil
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&body, "body", "", "show the body: "+strings.Join(deadletters.Forms, ", "))
	cmd.Flags().Lookup("body").NoOptDefVal = "auto"
	_ = cmd.RegisterFlagCompletionFunc("body", cobra.FixedCompletions(deadletters.Forms, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return err
		}
		if body != "" && !slices.Contains(deadletters.Forms, body) {
			return fmt.Errorf("--body=%s: it is one of %s", body, strings.Join(deadletters.Forms, ", "))
		}
		sel, err := f.selected(args[1:])
		if err != nil {
			return err
		}
		return f.onQueue(cmd, args[0], func(ctx context.Context, q *deadletters.Queue) error {
			found := false
			scan, err := q.Walk(ctx, &sel, 0, func(l *deadletters.Letter) bool {
				found = true
				d := l.Detail(time.Now(), body)
				if f.output == "json" {
					_ = printJSON(cmd, d) // the same
					return false
				}
				printLetter(cmd.OutOrStdout(), l, d, body)
				return false
			})
			if err == nil && !found {
				err = fmt.Errorf("no letter %s among the %d that are ready in %s; another list, replay or consumer may have it at the moment", args[1], scan.Ready, word(q.Name))
			}
			return failed(err)
		})
	}
	return cmd
}

func printLetter(out io.Writer, l *deadletters.Letter, d deadletters.Detail, body string) {
	fmt.Fprintf(out, "%s  (letter %d of the queue)\n", d.ID, d.Position)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "  %s: %s\n", name, strings.ReplaceAll(safe(fmt.Sprintf(format, args...)), "\n", " "))
	}
	text := func(name, value string) {
		if value != "" {
			line(name, "%s", value)
		}
	}
	if !d.Router {
		line("origin", "not written by a route of the router: what follows is the broker's word, if anybody's")
	}
	text("reason", reasonOf(l))
	text("route", d.Route)
	text("filter", d.Filter)
	text("stage", d.Stage)
	text("error", d.Error)
	if d.Attempts > 0 {
		line("attempts", "%d", d.Attempts)
	}
	if d.FirstSeen != nil {
		line("first seen", "%s", d.FirstSeen.Format(time.RFC3339))
	}
	if d.AgeSeconds != nil {
		line("age", "%s", age(time.Duration(*d.AgeSeconds)*time.Second))
	}
	text("missing", strings.Join(d.Missing, ", "))
	if d.LeftOut != "" {
		line("left out", "%s, which had no room", d.LeftOut)
	}
	text("from queue", d.Queue)
	if d.Exchange != "" || d.RoutingKey != "" {
		line("published to", "exchange %q, key %q", d.Exchange, d.RoutingKey)
	}
	for _, death := range d.Deaths {
		line("broker", "%s in queue %s, %d times, last %s", or(death.Reason), word(death.Queue), death.Count, death.Time.UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(out, "message")
	for _, name := range slices.Sorted(maps.Keys(d.Message.Properties)) {
		fmt.Fprintf(out, "  %s: %q\n", name, d.Message.Properties[name])
	}
	for _, name := range slices.Sorted(maps.Keys(d.Message.Headers)) {
		fmt.Fprintf(out, "  header %s: %s\n", word(name), safe(compact(d.Message.Headers[name])))
	}
	printBody(out, l.Original.Body, d.Message, body)
}

// printBody prints a body in the form that was asked for.
func printBody(out io.Writer, raw []byte, m deadletters.Message, form string) {
	fmt.Fprintf(out, "  body: %d bytes", m.Bytes)
	switch {
	case form == "":
		fmt.Fprintln(out, ", not shown (--body shows it)")
	case m.BodyJSON != nil:
		var indented bytes.Buffer
		_ = json.Indent(&indented, m.BodyJSON, "", "  ") // it is valid
		fmt.Fprintf(out, "\n%s\n", safe(indented.String()))
	case m.Body != nil:
		fmt.Fprintf(out, "\n%s\n", safe(*m.Body))
	case form == "base64":
		fmt.Fprintf(out, "\n%s\n", *m.BodyBase64)
	default:
		if form != "hex" && form != "auto" {
			fmt.Fprintf(out, ", which are no %s", form)
		}
		fmt.Fprintf(out, "\n%s", hex.Dump(raw))
	}
}
