package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/remote"
)

func newFilterShadow() *cobra.Command {
	return trialCommand(http.MethodGet, "shadow", &cobra.Command{
		Use:   "shadow FILTER",
		Short: "Show how a filter's new version compares with the old one",
		Long: `shadow asks a running router how far the new version of a filter has come, which
[filters.NAME.shadow] names: with how many messages it was tried, how many it
treats differently, and how the last of them differ. What is in messages is
shown if the router has admin.bodies = true.`,
		Example: `  router filter shadow orders
  router filter shadow orders -o json`,
	})
}

func newFilterPromote() *cobra.Command {
	return trialCommand(http.MethodPost, "promote", &cobra.Command{
		Use:   "promote FILTER",
		Short: "Take a filter's new version one step up",
		Long: `promote takes the new version of a filter one step up in a running router: from
shadow, where it has no effect, to its share of the messages, if it has one, and
to all of them. One that was rolled back becomes a shadow again. No message is
lost, sent twice or delayed; the old version stays at hand and takes over at once
if the new one fails. It holds until the router stops: write the new version into
router.toml.`,
		Example: `  router filter promote orders`,
	})
}

func newFilterRollback() *cobra.Command {
	return trialCommand(http.MethodPost, "rollback", &cobra.Command{
		Use:   "rollback FILTER",
		Short: "Take a filter's new version out of use",
		Long: `rollback takes the new version of a filter out of use in a running router: the
old one decides from the next message on.`,
		Example: `  router filter rollback orders`,
	})
}

// trialCommand completes a command that asks a router about a filter's new
// version, and prints how it is then.
func trialCommand(method, verb string, cmd *cobra.Command) *cobra.Command {
	var o remote.Options
	var output string
	adminFlags(cmd, &o)
	outputFlag(cmd, &output)
	cmd.ValidArgsFunction = complete(filterNames)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes the name of a filter; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		client, err := remote.Open(o)
		if err != nil {
			return err
		}
		var report app.ShadowReport
		if err := client.Call(cmd.Context(), method, "/api/filters/"+url.PathEscape(args[0])+"/"+verb, nil, &report); err != nil {
			return unreachable(err)
		}
		if output == "json" {
			return printJSON(cmd, report)
		}
		return writeTrial(cmd.OutOrStdout(), &report)
	}
	return cmd
}

// writeTrial writes a report for people.
func writeTrial(w io.Writer, r *app.ShadowReport) error {
	s := r.Trial
	fmt.Fprintf(w, "filter %s\n", safe(r.Filter))
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(key, text string) { fmt.Fprintf(tw, "  %s\t%s\n", key, safe(text)) }
	row("state", s.State+" since "+s.Since.Local().Format(time.DateTime))
	if s.Reason != "" {
		row("because", s.Reason)
	}
	if s.Advice != "" {
		row("to do", s.Advice)
	}
	row("new version", "sha256 "+s.SHA256)
	compared := count(int(s.Compared), "message")
	if s.Shed > 0 {
		compared += fmt.Sprintf(", and %d not, for want of room or time", s.Shed)
	}
	row("compared", compared)
	row("decided", count(int(s.Served), "message"))
	row("differences", count(int(s.Differences), "message")+kinds(s.Kinds))
	row("failures", fmt.Sprintf("%d of %s", s.Failures, count(int(s.Calls), "call")))
	if s.Slow > 0 {
		row("too slow", count(int(s.Slow), "call"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for i, d := range r.Differences {
		if i == 0 {
			fmt.Fprintln(w, "the last differences, old → new")
		}
		fmt.Fprintf(w, "  %s  message %s of queue %s, in %s\n", d.At.Local().Format(time.TimeOnly), safe(orNone(d.MessageID)), safe(d.Queue), d.Stage)
		for _, p := range d.Parts {
			fmt.Fprintf(w, "    %s: %s → %s\n", line(p.What), line(p.Old), line(p.New))
		}
		if d.Body != "" {
			fmt.Fprintf(w, "    of body: %s\n", line(d.Body))
		}
	}
	return nil
}

// kinds lists the most frequent kinds of differences.
func kinds(all map[string]uint64) string {
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if all[a] != all[b] {
			return int(all[b]) - int(all[a])
		}
		return strings.Compare(a, b)
	})
	var texts []string
	for _, name := range names[:min(len(names), 6)] {
		texts = append(texts, fmt.Sprintf("%s %d", name, all[name]))
	}
	if len(names) > 6 {
		texts = append(texts, "…")
	}
	if len(texts) == 0 {
		return ""
	}
	return ": " + strings.Join(texts, ", ")
}

// line keeps a text on one line.
func line(s string) string { return strings.ReplaceAll(safe(s), "\n", "⏎") }

func orNone(id string) string {
	if id == "" {
		return "without id"
	}
	return id
}
