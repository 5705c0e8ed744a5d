package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/workbench"
)

func newFilterTest() *cobra.Command {
	var f filterFlags
	var run, junit string
	var update bool
	cmd := &cobra.Command{
		Use:   "test [FILTER]",
		Short: "Run a project's golden cases",
		Long: `test runs the cases of a project, cases/*.txtar, and shows how what came of each
differs from what is wanted. It exits with 1 when a case misses. Time limits are
lenient, so that no result depends on the machine; fuel limits count.`,
		Args: oneArgument,
	}
	outputFlag(cmd, &f.output)
	f.configured(cmd)
	filterArgument(cmd, cobra.ShellCompDirectiveNoFileComp)
	cmd.Flags().StringVar(&run, "run", "", "run the cases whose names match this regular expression")
	cmd.Flags().BoolVar(&update, "update", false, "write what happened into the cases that miss, to be read before it is believed")
	cmd.Flags().StringVar(&junit, "junit", "", "also write the results to this file, as JUnit XML")
	_ = cmd.MarkFlagFilename("junit", "xml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(f.output); err != nil {
			return err
		}
		o := workbench.TestOptions{Update: update}
		if run != "" {
			var err error
			if o.Run, err = regexp.Compile(run); err != nil {
				return fmt.Errorf("--run: %w", err)
			}
		}
		return onWorkbench(cmd, args, f.Options, func(ctx context.Context, w *workbench.Workbench, s *workbench.Subject) error {
			r, err := w.Test(ctx, s, o)
			if err != nil {
				return err
			}
			if junit != "" {
				err = writeJUnit(junit, r)
			}
			if f.output == "json" {
				err = errors.Join(err, printJSON(cmd, r))
			} else {
				err = errors.Join(err, r.WriteText(cmd.OutOrStdout()))
			}
			if err == nil && r.Failed > 0 {
				return silent(fmt.Errorf("%d cases failed", r.Failed))
			}
			return err
		})
	}
	return cmd
}
