package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/config"
)

// strictCompletion has cobra's own command that writes completion scripts refuse
// shells that it does not know, instead of answering with its help.
func strictCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return // there is none
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var shells []string
		for _, one := range cmd.Commands() {
			shells = append(shells, one.Name())
		}
		return fmt.Errorf("there is no completion for %q; there is for %s", args[0], strings.Join(shells, ", "))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// complete completes the first argument of a command with what the configuration
// names.
func complete(of func(config.Names) []string) cobra.CompletionFunc {
	named := completeFlag(of)
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return named(cmd, args, typed)
	}
}

// completeFlag completes a flag with what the configuration of --config names:
// router.toml unless the command line has another. Where there is none that can be
// read there is nothing to complete.
func completeFlag(of func(config.Names) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var path string
		if f := cmd.Flags().Lookup("config"); f != nil {
			path = f.Value.String()
		}
		names, err := config.ReadNames(cmp.Or(path, "router.toml"))
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return of(names), cobra.ShellCompDirectiveNoFileComp
	}
}

func routeNames(n config.Names) []string  { return n.Routes }
func queueNames(n config.Names) []string  { return n.Queues }
func filterNames(n config.Names) []string { return n.Filters }

// targetNames are addresses of everything that the configuration declares.
func targetNames(n config.Names) []string {
	var all []string
	for _, q := range n.Queues {
		all = append(all, "queue:"+q)
	}
	for _, x := range n.Exchanges {
		all = append(all, "exchange:"+x+"/")
	}
	return all
}
