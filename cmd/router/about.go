package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/telemetry"
)

// version is set by the linker at a release.
var version = "dev"

// build returns what this binary was built from.
func build() telemetry.Build {
	b := telemetry.Build{Version: version, Revision: "unknown", GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "dev" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version // as `go install` was asked for
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			b.Revision += " (modified)"
		}
	}
	return b
}

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the commit and the versions of the main parts",
		Example: "  router version -o json",
		Args:    noArguments,
	}
	outputFlag(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		b, parts := build(), dependencies()
		if output == "json" {
			return printJSON(cmd, map[string]any{
				"version": b.Version, "revision": b.Revision, "go": b.GoVersion, "platform": runtime.GOOS + "/" + runtime.GOARCH, "parts": parts,
			})
		}
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "router %s, commit %s, %s %s/%s\n", b.Version, b.Revision, b.GoVersion, runtime.GOOS, runtime.GOARCH)
		for _, name := range []string{"wazero", "amqp091-go", "toml"} {
			fmt.Fprintf(out, "  %s %s\n", name, parts[name])
		}
		return nil
	}
	return cmd
}

func dependencies() map[string]string {
	short := map[string]string{
		"github.com/tetratelabs/wazero":  "wazero",
		"github.com/rabbitmq/amqp091-go": "amqp091-go",
		"github.com/BurntSushi/toml":     "toml",
	}
	parts := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if name, ok := short[m.Path]; ok {
				parts[name] = m.Version
			}
		}
	}
	return parts
}

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of router.toml, for completion in editors",
		Long: `schema prints the JSON Schema of router.toml. Save it beside the file and let
the first line of the file name it, and editors complete and check the keys:

  #:schema ./router.schema.json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema())
			return err
		},
	}
}
