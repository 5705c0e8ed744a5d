package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/workbench"
)

func newFilterBench() *cobra.Command {
	var f filterFlags
	var stages []string
	var o workbench.BenchOptions
	cmd := &cobra.Command{
		Use:   "bench [FILTER [FILE...]]",
		Short: "Measure a filter against one that changes nothing",
		Long: `bench measures what a pass of a message through a filter costs, for each message
of the project's cases or of the files: time, fuel and allocations of the host,
against a filter that is given the whole message and changes nothing. The two
take turns in the same process, and the median of nine rounds counts.

Without cases and files a message with 12 headers and 1 KiB of JSON is used.
Files are written as for "router filter run".`,
	}
	outputFlag(cmd, &f.output)
	f.configured(cmd)
	filterArgument(cmd, cobra.ShellCompDirectiveDefault)
	cmd.Flags().StringSliceVar(&stages, "stage", nil, "the stages to run with files; by default all that the filter has")
	cmd.Flags().BoolVar(&o.Messages.Raw, "raw", false, "each file is one body as it is")
	cmd.Flags().DurationVar(&o.Time, "time", 200*time.Millisecond, "how long to measure each message")
	_ = cmd.RegisterFlagCompletionFunc("stage", cobra.FixedCompletions(workbench.StageNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := checkOutput(f.output); err != nil {
			return err
		}
		if o.Time <= 0 || o.Time > time.Hour {
			return fmt.Errorf("--time %s: it must be more than 0 and at most 1h", o.Time)
		}
		if o.Messages.Stages, err = workbench.ParseStages(stages); err != nil {
			return fmt.Errorf("--stage: %w", err)
		}
		if len(args) > 1 {
			o.Messages.Files = args[1:]
		}
		o.Messages.Stdin = cmd.InOrStdin()
		return onWorkbench(cmd, args, f.Options, func(ctx context.Context, w *workbench.Workbench, s *workbench.Subject) error {
			bar := newBar(cmd.ErrOrStderr())
			o.Progress = bar.set
			r, err := w.Bench(ctx, s, o)
			bar.clear()
			switch {
			case err != nil:
				return err
			case f.output == "json":
				return printJSON(cmd, r)
			}
			return r.WriteText(cmd.OutOrStdout())
		})
	}
	return cmd
}
