package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/filters/conformance"
)

// checked is a check's report as JSON.
type checked struct {
	*workbench.CheckReport
	Findings []printedFinding `json:"findings"`
}

type printedFinding struct {
	ID      string `json:"id"`
	Proves  string `json:"proves"`
	Verdict string `json:"verdict"`
	Detail  string `json:"detail,omitempty"`
}

func newFilterCheck() *cobra.Command {
	var f filterFlags
	var verbose bool
	cmd := &cobra.Command{
		Use:   "check [FILTER]",
		Short: "Ask of a filter what the router asks, and more",
		Long: `check loads a filter as the router does before the first message: filter.toml,
sha256, exports, imports, grants, limits, compiling, one instance with its
configuration. Then it takes the filter through the conformance kit, which does
to it whatever docs/ABI.md lets a router do. No broker is needed.

Each problem is one line that names the file, the cause and the way out.`,
		Args: oneArgument,
	}
	outputFlag(cmd, &f.output)
	f.configured(cmd)
	filterArgument(cmd, cobra.ShellCompDirectiveNoFileComp)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "list the checks of the conformance kit")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(f.output); err != nil {
			return err
		}
		return onWorkbench(cmd, args, f.Options, func(ctx context.Context, w *workbench.Workbench, s *workbench.Subject) error {
			r, err := w.Check(ctx, s)
			if err != nil {
				return failed(err)
			}
			if f.output == "json" {
				out := checked{r, []printedFinding{}}
				for _, f := range r.Conformance {
					out.Findings = append(out.Findings, printedFinding{f.ID, f.Proves, verdictWord(f.Verdict), f.Detail})
				}
				return errors.Join(printJSON(cmd, out), silent(r.Err()))
			}
			return errors.Join(r.WriteText(cmd.OutOrStdout(), verbose), r.Err())
		})
	}
	return cmd
}

func verdictWord(v conformance.Verdict) string {
	return map[conformance.Verdict]string{conformance.Pass: "pass", conformance.Fail: "fail", conformance.Skip: "skip"}[v]
}
