package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/cases"
)

func newTest() *cobra.Command {
	var o cases.Options
	var output, run, junit string
	cmd := &cobra.Command{
		Use:   "test [CASES.test.toml...]",
		Short: "Hold the routes against cases, without a broker",
		Long: `test passes the messages of cases through the routes of a configuration, and
shows where what becomes of them is not what the cases expect. Cases are TOML
files beside the configuration, *.test.toml, unless named. Filters run as they
do in the router; no broker is needed. It exits with 1 when a case misses.`,
		Example: `  router test
  router test -c router.toml orders.test.toml --run urgent
  router test --junit results.xml`,
	}
	outputFlag(cmd, &output)
	configFlag(cmd, &o.Config)
	cmd.Flags().StringVar(&run, "run", "", "run the cases whose names match this regular expression")
	cmd.Flags().StringVar(&junit, "junit", "", "also write the results to this file, as JUnit XML")
	_ = cmd.MarkFlagFilename("junit", "xml")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		if run != "" {
			var err error
			if o.Run, err = regexp.Compile(run); err != nil {
				return fmt.Errorf("--run: %w", err)
			}
		}
		o.Files, o.Logger = args, slog.New(&wordsHandler{out: cmd.ErrOrStderr()})
		r, err := cases.Run(cmd.Context(), o)
		if err != nil {
			return err
		}
		if junit != "" {
			err = writeJUnit(junit, r)
		}
		if output == "json" {
			err = errors.Join(err, printJSON(cmd, r))
		} else {
			err = errors.Join(err, r.WriteText(cmd.OutOrStdout()))
		}
		if err == nil && r.Failed > 0 {
			return silent(fmt.Errorf("%d cases missed", r.Failed))
		}
		return err
	}
	return cmd
}

// writeJUnit writes results to a file.
func writeJUnit(path string, r interface{ WriteJUnit(io.Writer) error }) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	return errors.Join(r.WriteJUnit(f), f.Close())
}
