package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/filters"
)

func newFilter() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "filter",
		Short: "Make, build, check, try, test and measure filters, and change versions",
		Long: `filter has what authors of filters need; none of it wants a broker. shadow,
promote and rollback are about the new version of a filter in a running router.

A filter is named by its project's directory (or filter.toml; by default the
current directory), by a .wasm file, or as stock:NAME.`,
		Example: `  router filter new --lang go orders
  cd orders
  router filter build
  router filter test
  router filter check`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "`" + cmd.CommandPath() + " --help` lists the commands"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean " + strings.Join(near, " or ") + "?"
			}
			return fmt.Errorf("%q is no command of %s; %s", args[0], cmd.CommandPath(), hint)
		},
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newFilterNew(), newFilterBuild(), newFilterTest(), newFilterCheck(), newFilterRun(), newFilterBench(), newFilterInspect(), newFilterList())
	cmd.AddCommand(newFilterShadow(), newFilterPromote(), newFilterRollback())
	return cmd
}

// filterFlags are what several verbs take.
type filterFlags struct {
	workbench.Options
	output string
}

// configured adds the flags that stand in for a filter.toml.
func (f *filterFlags) configured(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Config, "config", "", "the filter's configuration as a JSON object, in place of its own")
	cmd.Flags().StringSliceVar(&f.Grants, "grant", nil, "give the filter a grant: "+strings.Join(workbench.Grants(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("grant", cobra.FixedCompletions(workbench.Grants(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("config", cobra.NoFileCompletions)
}

// filterArgument completes what a verb works on, and files after it if it takes
// some.
func filterArgument(cmd *cobra.Command, files cobra.ShellCompDirective) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, files
		}
		if !strings.HasPrefix("stock:", typed) && !strings.HasPrefix(typed, "stock:") || typed == "" {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return stockNames("stock:"), cobra.ShellCompDirectiveNoFileComp
	}
}

func stockNames(prefix string) []string {
	var names []string
	for _, name := range filters.List() {
		if !strings.Contains(name, ":") {
			names = append(names, prefix+name)
		}
	}
	return names
}

// subjectOf is the argument, or the current directory.
func subjectOf(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// onWorkbench opens a subject and does something with it.
func onWorkbench(cmd *cobra.Command, args []string, o workbench.Options, do func(context.Context, *workbench.Workbench, *workbench.Subject) error) error {
	s, err := workbench.Open(subjectOf(args), o)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	w, err := workbench.New(ctx, workbench.Config{Logger: slog.New(&wordsHandler{out: cmd.ErrOrStderr()})})
	if err != nil {
		return failed(err)
	}
	return errors.Join(do(ctx, w, s), failed(w.Close(context.WithoutCancel(ctx))))
}

// wordsHandler prints what filters log, for people.
type wordsHandler struct{ out io.Writer }

func (h *wordsHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h *wordsHandler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "text" {
			text = a.Value.String()
		}
		return true
	})
	_, err := fmt.Fprintf(h.out, "%s: %s\n", strings.ToLower(r.Level.String()), safe(text))
	return err
}

func (h *wordsHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *wordsHandler) WithGroup(string) slog.Handler      { return h }
