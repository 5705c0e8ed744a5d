package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/recording"
	"github.com/wasmrouter/router/config"
)

func newRecord() *cobra.Command {
	o := recording.TakeOptions{Sample: 1, Files: recording.Files{Keep: 4}}
	size, output := 64*config.MiB, ""
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Record what a running router makes of messages",
		Long: `record asks a running router for the messages of routes and what becomes of each,
and writes them to a file for router replay. The router does not wait for it:
what cannot be written fast enough is left out and counted. The router's
configuration has to permit it with admin.bodies = true. Files are readable for
their owner alone. It ends after --for, or when it is interrupted. It exits with 2 if
it ended before that, or if no message came; then there is no file.`,
		Example: `  router record --route orders --out orders.rec --for 10m
  router record --route orders --out orders.rec --sample 0.01 --redact ./redactor`,
		Args: noArguments,
	}
	outputFlag(cmd, &output)
	adminFlags(cmd, &o.Router)
	f := cmd.Flags()
	f.StringArrayVar(&o.Routes, "route", nil, "record this route; may be repeated (default all)")
	_ = cmd.RegisterFlagCompletionFunc("route", completeFlag(routeNames))
	f.StringVar(&o.Files.Path, "out", "", "the file to write; older parts get .1, .2 and so on behind their names")
	f.Var((*sizeFlag)(&size), "max-size", "begin a new file before one gets larger")
	f.DurationVar(&o.Files.MaxAge, "max-age", 0, "begin a new file when one is older (default never)")
	f.IntVar(&o.Files.Keep, "keep", o.Files.Keep, "how many files to keep; the oldest is removed")
	f.Float64Var(&o.Sample, "sample", o.Sample, "the share of messages to record, up to 1")
	f.DurationVar(&o.For, "for", 0, "how long (default until interrupted)")
	f.StringVar(&o.Redact, "redact", "", "a filter that messages pass before they are written, to take out what must not be in the file: a project's directory, a .wasm file or stock:NAME")
	_ = cmd.MarkFlagFilename("out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case checkOutput(output) != nil:
			return checkOutput(output)
		case o.Files.Path == "":
			return errors.New("--out FILE says where the recording goes")
		case o.Sample <= 0 || o.Sample > 1:
			return fmt.Errorf("--sample %v: it is a share above 0 and up to 1", o.Sample)
		case o.Files.Keep < 1:
			return fmt.Errorf("--keep %d: it is 1 at least", o.Files.Keep)
		case o.For < 0 || o.Files.MaxAge < 0:
			return errors.New("--for and --max-age are not negative")
		}
		o.Files.MaxSize = size.Bytes()
		o.Logger = slog.New(&wordsHandler{out: cmd.ErrOrStderr()})
		line := newBar(cmd.ErrOrStderr())
		o.Progress = func(n uint64) { line.say(fmt.Sprintf("%d recorded", n)) }
		taken, err := recording.Take(cmd.Context(), o)
		line.clear()
		if taken == nil {
			return unreachable(err)
		}
		return errors.Join(printTaken(cmd, output, taken), failed(err))
	}
	return cmd
}

func printTaken(cmd *cobra.Command, output string, t *recording.Taken) error {
	if output == "json" {
		return printJSON(cmd, t)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s recorded", count(int(t.Written), "message"))
	if s := t.Summary; s != nil && s.Dropped > t.Redacted {
		fmt.Fprintf(out, ", %d left out because they could not be written fast enough", s.Dropped-t.Redacted)
	}
	if t.Redacted > 0 {
		fmt.Fprintf(out, ", %d left out by the filter", t.Redacted)
	}
	fmt.Fprintln(out)
	for _, name := range t.Files {
		fmt.Fprintln(out, safe(name))
	}
	return nil
}

// sizeFlag is a flag written as sizes are in router.toml.
type sizeFlag config.Size

// String implements [pflag.Value].
func (s *sizeFlag) String() string { return config.Size(*s).String() }

// Type implements [pflag.Value].
func (s *sizeFlag) Type() string { return "size" }

// Set implements [pflag.Value].
func (s *sizeFlag) Set(text string) error {
	var size config.Size
	if err := size.UnmarshalText([]byte(text)); err != nil {
		return err
	}
	if size < 64*config.KiB {
		return errors.New("it is 64KiB at least")
	}
	*s = sizeFlag(size)
	return nil
}
