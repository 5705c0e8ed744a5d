package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/wasmrouter/router/app/remote"
	"github.com/wasmrouter/router/app/top"
)

func newTop() *cobra.Command {
	var o remote.Options
	var updates int
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a running router in a terminal",
		Long: `top shows the routes, filters and connections of a running router with rates and
times of the last second, until q is typed. Where the output is no terminal it
writes one line for each route and second.

The router's address and token are those of its configuration.`,
		Example: `  router top
  router top -n 60 > minute.txt`,
		Args: noArguments,
	}
	adminFlags(cmd, &o)
	cmd.Flags().IntVarP(&updates, "updates", "n", 0, "end after so many updates; 0 never does")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := remote.Open(o)
		if err != nil {
			return err
		}
		cfg := top.Config{Client: c, Out: cmd.OutOrStdout(), Updates: updates}
		out, isFile := cmd.OutOrStdout().(*os.File)
		if isFile && term.IsTerminal(int(out.Fd())) {
			cfg.Size = func() (int, int, error) { return term.GetSize(int(out.Fd())) }
			if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
				cfg.Keys = in
				if before, err := term.MakeRaw(int(in.Fd())); err == nil {
					defer func() { _ = term.Restore(int(in.Fd()), before) }()
				}
			}
		}
		return failed(top.Run(cmd.Context(), cfg))
	}
	return cmd
}
