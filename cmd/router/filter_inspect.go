package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/workbench"
)

func newFilterInspect() *cobra.Command {
	var f filterFlags
	cmd := &cobra.Command{
		Use:   "inspect [FILTER]",
		Short: "Show what a filter is, reads, writes and wants",
		Long: `inspect describes a module: its stages, what it reads of a message and, if it has
cases, what it changed in them, its imports and the grants that they want,
memory, size, sha256, the WebAssembly features it uses, and what made it, if it
says so.`,
		Args: oneArgument,
	}
	outputFlag(cmd, &f.output)
	f.configured(cmd)
	filterArgument(cmd, cobra.ShellCompDirectiveNoFileComp)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(f.output); err != nil {
			return err
		}
		return onWorkbench(cmd, args, f.Options, func(ctx context.Context, w *workbench.Workbench, s *workbench.Subject) error {
			r, err := w.Inspect(ctx, s)
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

func newFilterList() *cobra.Command {
	var output string
	var schema bool
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List the stock filters, or explain one",
		Long: `list shows the filters that are built in, which router.toml names as stock:NAME:
their stages, size, sha256 and what they do. With a name it prints that filter's
manual, or with --schema the JSON Schema of its configuration.`,
		Args: oneArgument,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return stockNames(""), cobra.ShellCompDirectiveNoFileComp
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the named filter's configuration")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch err := checkOutput(output); {
		case err != nil:
			return err
		case len(args) == 1:
			text, err := workbench.StockText(args[0], schema)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		case schema:
			return errors.New("--schema wants the name of a stock filter; `router filter list` shows them")
		}
		all, err := workbench.ListStock()
		switch {
		case err != nil:
			return failed(err)
		case output == "json":
			return printJSON(cmd, all)
		}
		return workbench.WriteStock(cmd.OutOrStdout(), all)
	}
	return cmd
}
