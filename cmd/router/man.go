package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/internal/manual"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages of all commands and of router.toml to a directory",
		Long: `man writes a page for each command to DIR, and one for router.toml. They say
what --help says, and the keys of the configuration. The packages of the router
have them already.`,
		Example: `  router man /usr/local/share/man/man1
  router man pages && man -l pages/router.toml.5`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name a directory for the pages: `%s DIR`", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			pages, err := manualPages(cmd.Root())
			if err != nil {
				return failed(err)
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return failed(err)
			}
			for _, p := range pages {
				if err := writePage(filepath.Join(args[0], p.FileName()), p); err != nil {
					return failed(err)
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[0], count(len(pages), "page"))
			return nil
		},
	}
}

func writePage(path string, p manual.Page) error {
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// manualPages returns a page for each command below root that help lists, and one for
// router.toml.
func manualPages(root *cobra.Command) ([]manual.Page, error) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	var all []manual.Page
	var add func(*cobra.Command)
	add = func(cmd *cobra.Command) {
		all = append(all, page(cmd))
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				add(c)
			}
		}
	}
	add(root)
	keys, err := manual.Keys(config.Schema())
	if err != nil {
		return nil, err
	}
	return append(all, manual.Page{
		Name: "router.toml", Section: 5, Summary: "configuration of router(1)", Version: version,
		Parts: append([]manual.Part{{Title: "DESCRIPTION", Text: `router.toml names the queues that the router listens to, the filters that
messages pass, and where they go. "router check" finds every mistake in it without
a broker, and "router explain" shows what it comes to.

Durations are strings such as "200ms" or "1m30s", sizes are strings such as
"64KiB". Any string may hold ${env:NAME}, ${env:NAME:-DEFAULT} and ${file:PATH}.
A whole configuration:

  [routes.orders]
  listen = "orders.in"
  send = ["queue:orders.out"]`}}, append(keys, manual.Part{Title: "SEE ALSO", Text: "router(1), router-check(1), router-explain(1), router-schema(1)"})...),
	}), nil
}

func page(cmd *cobra.Command) manual.Page {
	p := manual.Page{
		Name: dashed(cmd), Section: 1, Summary: cmd.Short, Version: version, Synopsis: cmd.UseLine(),
		Parts: []manual.Part{{Title: "DESCRIPTION", Text: cmd.Long}},
	}
	if cmd.Long == "" {
		p.Parts[0].Text = cmd.Short + "."
	}
	related := []string{"router.toml(5)"}
	if cmd.HasParent() {
		related = append(related, dashed(cmd.Parent())+"(1)")
	}
	var commands []manual.Entry
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			commands = append(commands, manual.Entry{Term: c.Name(), Text: c.Short})
			related = append(related, dashed(c)+"(1)")
		}
	}
	cmd.InitDefaultHelpFlag()
	p.Parts = appendEntries(p.Parts, "COMMANDS", commands)
	p.Parts = appendEntries(p.Parts, "OPTIONS", flags(cmd.NonInheritedFlags()))
	if cmd.Example != "" {
		p.Parts = append(p.Parts, manual.Part{Title: "EXAMPLES", Text: cmd.Example})
	}
	p.Parts = append(p.Parts,
		manual.Part{Title: "EXIT STATUS", Text: "0 ok, 1 configuration or usage, 2 failed while running, 3 stopped by a second signal."},
		manual.Part{Title: "SEE ALSO", Text: strings.Join(related, ", ")})
	return p
}

func dashed(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func appendEntries(parts []manual.Part, title string, entries []manual.Entry) []manual.Part {
	if len(entries) == 0 {
		return parts
	}
	return append(parts, manual.Part{Title: title, Entries: entries})
}

func flags(set *pflag.FlagSet) []manual.Entry {
	var entries []manual.Entry
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if name != "" {
			term += " " + name
		}
		switch f.DefValue {
		case "", "false", "0", "[]", "0s":
		default:
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		entries = append(entries, manual.Entry{Term: term, Text: usage})
	})
	return entries
}
