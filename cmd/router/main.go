// Command router routes messages between RabbitMQ queues through WebAssembly
// filters. `router help` lists what it can do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/bench/calls"
	"github.com/wasmrouter/router/wasmhost/compile"
)

// Exit codes. A supervisor should not restart after exitUsage.
const (
	exitOK     = 0
	exitUsage  = 1 // configuration or usage
	exitFailed = 2 // failed while running
	exitForced = 3 // stopped by a second signal
)

func main() {
	compile.Main() // first, and alone, if this is a process that compiles
	calls.Main()   // or one of those whose calls are measured
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // it lives as long as the process
		<-signals
		cancel()
		<-signals
		fmt.Fprintln(os.Stderr, "router: second signal, stopping at once; unfinished messages stay with the broker")
		os.Exit(exitForced)
	}()
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitUsage
	if _, ok := errors.AsType[*failedError](err); ok {
		code = exitFailed
	}
	for line := range strings.Lines(suggestion(err.Error())) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintln(errOut, "router:", line)
		}
	}
	return code
}

// flagGroup is what cobra says of flags that exclude one another, or of which one
// needs the other.
var flagGroup = regexp.MustCompile(`^if any flags in the group \[(.*)\] are set (?:(they must all be set)|none of the others can be); (?:missing )?\[(.*?)\]`)

// flagList lists flags whose names have blanks between them.
func flagList(names string) string {
	list := strings.Fields(names)
	for i, name := range list {
		list[i] = "--" + name
	}
	return strings.Join(list, " and ")
}

// suggestion puts cobra's answers to mistyped commands and flags in plain words
// on one line.
func suggestion(text string) string {
	problem, names, ok := strings.Cut(text, "\n\nDid you mean this?\n")
	together := flagGroup.FindStringSubmatch(text)
	switch {
	case together != nil && together[2] != "":
		return flagList(together[1]) + " go together; " + flagList(together[3]) + " is missing"
	case together != nil:
		return flagList(together[3]) + " exclude one another; give one of them"
	case ok:
		return problem + "; did you mean " + strings.Join(strings.Fields(names), " or ") + "?"
	case strings.HasPrefix(text, "unknown command "):
		return text + "; `router help` lists the commands"
	}
	return text
}

// noArguments refuses arguments of a command that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, and %q is one; see `%s --help`", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// oneArgument refuses more than one argument.
func oneArgument(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("%s takes one argument at most; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

// failedError marks an error as one of running, not of usage.
type failedError struct{ err error }

func (e *failedError) Error() string { return e.err.Error() }
func (e *failedError) Unwrap() error { return e.err }

// failed wraps an error that happened while running; nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &failedError{err}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "router",
		Short: "Route RabbitMQ messages through WebAssembly filters",
		Long: `router takes messages from RabbitMQ queues, passes them through sandboxed
WebAssembly filters that decide where they go, and acknowledges them once every
target has confirmed. What cannot be delivered becomes a dead letter with its
reason. It also sends, calls, notifies and answers by hand.

Exit codes: 0 ok, 1 configuration or usage, 2 failed while running, 3 stopped by
a second signal.`,
		Example: `  router demo                      see it work
  router check -c router.toml      find every mistake without a broker
  router run -c router.toml        run the routes`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(
		newRun(), newCheck(), newExplain(), newTest(), newRecord(), newReplay(), newFilter(), newDemo(), newBench(), newBroker(),
		newStatus(), newTop(),
		newSend(), newCall(), newNotify(), newListen(), newServe(), newDeadLetters(),
		newSchema(), newMan(), newVersion(),
	)
	strictCompletion(root)
	return root
}

// outputFlag adds --output to a command that prints something.
func outputFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVarP(to, "output", "o", "text", "how to print: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("--output %q: it is text or json", output)
	}
	return nil
}

// configFlag adds -c to a command that reads router.toml.
func configFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVarP(to, "config", "c", "router.toml", "configuration file")
	_ = cmd.MarkFlagFilename("config", "toml")
}
