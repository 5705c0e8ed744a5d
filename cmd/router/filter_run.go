package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/workbench"
)

func newFilterRun() *cobra.Command {
	var f filterFlags
	var stages []string
	o := workbench.RunOptions{}
	cmd := &cobra.Command{
		Use:   "run [FILTER [FILE...]]",
		Short: "Pass messages through a filter and print what it makes of them",
		Long: `run passes messages through a filter, as a route would, and prints what becomes
of each: where it goes and why, what changed, and what the call cost.

Messages are JSON objects, one after the other, on standard input or in files;
all keys may be left out:

  {"headers": {}, "properties": {}, "exchange": "", "routing_key": "",
   "queue": "", "redelivered": false, "received": "2026-01-31T12:00:00Z",
   "target": "queue:x", "body": "text, or any JSON", "body_base64": ""}

What "router listen --output json" prints are such messages. It exits with 2
when the filter failed on one of them.`,
		Example: `  echo '{"body": {"type": "created"}}' | router filter run
  router filter run orders messages.jsonl
  router listen orders.in --peek -o json | router filter run orders
  router filter run stock:messagepack --config '{"encode": "json-to-msgpack"}' --raw a.json`,
	}
	outputFlag(cmd, &f.output)
	f.configured(cmd)
	cmd.Flags().StringSliceVar(&stages, "stage", nil, "the stages to run; by default all that the filter has")
	cmd.Flags().BoolVar(&o.Raw, "raw", false, "each file, or standard input, is one body as it is")
	_ = cmd.RegisterFlagCompletionFunc("stage", cobra.FixedCompletions(workbench.StageNames(), cobra.ShellCompDirectiveNoFileComp))
	filterArgument(cmd, cobra.ShellCompDirectiveDefault)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := checkOutput(f.output); err != nil {
			return err
		}
		if o.Stages, err = workbench.ParseStages(stages); err != nil {
			return fmt.Errorf("--stage: %w", err)
		}
		if len(args) > 1 {
			o.Files = args[1:]
		}
		o.JSON, o.Stdin, o.Out = f.output == "json", cmd.InOrStdin(), cmd.OutOrStdout()
		return onWorkbench(cmd, args, f.Options, func(ctx context.Context, w *workbench.Workbench, s *workbench.Subject) error {
			n, bad, err := w.Run(ctx, s, o)
			switch {
			case err != nil:
				return err
			case n == 0:
				return workbench.ErrNoMessages
			case bad > 0:
				return failed(fmt.Errorf("the filter failed on %d of %s", bad, count(n, "message")))
			}
			return nil
		})
	}
	return cmd
}
