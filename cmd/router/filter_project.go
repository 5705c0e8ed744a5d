package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/workbench"
)

func newFilterNew() *cobra.Command {
	var lang, dir, output string
	cmd := &cobra.Command{
		Use:   "new --lang LANGUAGE NAME",
		Short: "Write a new filter project that works",
		Long: `new writes a project: a filter of 20 lines, a copy of the SDK, golden cases that
pass, filter.toml and a README.md with the next commands. Nothing is downloaded
and nothing is overwritten.`,
		Example: "  router filter new --lang rust orders",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name the new filter: `%s --lang %s NAME`", cmd.CommandPath(), strings.Join(workbench.LanguageNames(), "|"))
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	outputFlag(cmd, &output)
	cmd.Flags().StringVar(&lang, "lang", "", "the language: "+strings.Join(workbench.LanguageNames(), ", "))
	cmd.Flags().StringVar(&dir, "dir", "", "the project's directory, which must not exist or be empty; by default ./NAME")
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(workbench.LanguageNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("dir")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		p, err := workbench.Scaffold(lang, args[0], dir)
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(cmd, p)
		}
		return p.WriteText(cmd.OutOrStdout())
	}
	return cmd
}

func newFilterBuild() *cobra.Command {
	var output string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Compile a project with its language's compiler",
		Long: `build finds a project's language by its source files and compiles it to the
module that filter.toml names: the same sources and compiler give the same
bytes. When a compiler is missing it says how to get it.

CLANG, WASM_LD, GO, RUSTC, ASC and WAT2WASM name other programs than those in
PATH.`,
		Args: oneArgument,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print the commands that are run")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		o := workbench.BuildOptions{Messages: cmd.ErrOrStderr()}
		if verbose {
			o.Commands = cmd.ErrOrStderr()
		}
		b, err := workbench.Build(cmd.Context(), subjectOf(args), o)
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(cmd, b)
		}
		return b.WriteText(cmd.OutOrStdout())
	}
	return cmd
}
