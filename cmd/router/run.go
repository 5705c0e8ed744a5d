package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/systemd"
	"github.com/wasmrouter/router/config"
)

// closeTimeout bounds closing what is left after the drain.
const closeTimeout = 10 * time.Second

func newRun() *cobra.Command {
	var opts app.Options
	var admin string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the routes of a configuration",
		Long: `run consumes the queues of all routes until SIGTERM or SIGINT. It then stops
consuming, finishes what is in hand within process.drain_timeout, and leaves the
rest to the broker. A second signal stops at once.

SIGHUP reloads the configuration: routes that did not change keep their
consumers, and a configuration with any error changes nothing.

Under systemd it reports when it is ready, reloading and stopping, what it lacks,
and that it lives.`,
		Example: `  router run -c router.toml
  router run -c router.toml --log-level debug --admin 127.0.0.1:0`,
		Args: noArguments,
	}
	configFlag(cmd, &opts.ConfigPath)
	cmd.Flags().StringVar(&opts.LogLevel, "log-level", "", "debug, info, warn or error; overrides log.level")
	cmd.Flags().StringVar(&admin, "admin", "", "HOST:PORT of the admin listener, \"\" for none; overrides admin.listen")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("admin") {
			opts.Admin = &admin
		}
		opts.LogOutput = cmd.ErrOrStderr()
		opts.Build = build()
		return run(cmd.Context(), opts)
	}
	return cmd
}

func run(ctx context.Context, opts app.Options) error {
	noCore()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	a, err := app.New(ctx, opts)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil // told to stop while nothing ran
	case err != nil:
		return err
	}
	reported, err := tellManager(ctx, a)
	defer reported()
	if err == nil {
		err = a.Start(ctx)
	}
	if ctx.Err() != nil {
		err = nil
	}
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-hup:
			_ = a.ReloadAndLog(ctx)
		}
	}
	// ctx has ended; the drain has its own bound, the closing that follows this.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.DrainTimeout()+closeTimeout)
	defer cancel()
	return failed(errors.Join(err, a.Stop(stop)))
}

// tellManager tells the service manager about a, until the function that it returns is
// called.
func tellManager(ctx context.Context, a *app.App) (end func(), err error) {
	service, err := systemd.New(a.Logger())
	if service == nil {
		return func() {}, err
	}
	a.Observe(service.Phase)
	// The watchdog wants to hear from a router that drains, too.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { service.Run(ctx, a.Status) })
	return func() { cancel(); running.Wait() }, nil
}

func newCheck() *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find every mistake in a configuration without a broker",
		Long: `check does everything that run does short of connecting: it reads the file,
resolves secrets, loads and compiles every filter, and builds every route.`,
		Args: noArguments,
	}
	configFlag(cmd, &path)
	outputFlag(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		plan, warnings, err := app.Check(cmd.Context(), path)
		if output == "json" {
			return errors.Join(printJSON(cmd, checkReport(plan, warnings, err)), silent(err))
		}
		warn(cmd, warnings)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: ok, %s, %s\n", path, count(len(plan.Routes), "route"), count(len(plan.Filters), "filter"))
		return nil
	}
	return cmd
}

func warn(cmd *cobra.Command, warnings []config.Warning) {
	for _, w := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "router: warning:", w)
	}
}

// problem is one line of check's JSON output.
type problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
}

type report struct {
	OK       bool      `json:"ok"`
	Routes   int       `json:"routes"`
	Filters  int       `json:"filters"`
	Errors   []problem `json:"errors"`
	Warnings []string  `json:"warnings"`
}

func checkReport(plan *app.Plan, warnings []config.Warning, err error) report {
	r := report{OK: err == nil, Errors: []problem{}, Warnings: []string{}}
	if plan != nil {
		r.Routes, r.Filters = len(plan.Routes), len(plan.Filters)
	}
	for _, w := range warnings {
		r.Warnings = append(r.Warnings, w.String())
	}
	var all config.Errors
	switch {
	case errors.As(err, &all):
		for _, e := range all {
			r.Errors = append(r.Errors, problem{e.File, e.Line, e.Col, e.Key, e.Problem, e.Hint})
		}
	case err != nil:
		r.Errors = append(r.Errors, problem{Problem: err.Error()})
	}
	return r
}

// silentError ends the program with a code and no further words.
type silentError struct{ err error }

func (silentError) Error() string   { return "" }
func (e silentError) Unwrap() error { return e.err }

func silent(err error) error {
	if err == nil {
		return nil
	}
	return silentError{err}
}

func newExplain() *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:   "explain [ROUTE]",
		Short: "Show what a configuration comes to: stages, filters, limits, targets",
		Long: `explain checks a configuration as check does and prints what it comes to: the
filters of each stage of each route in their order, their limits and grants, the
targets, what is declared, and what is done on errors. It needs no broker.`,
		Example: `  router explain
  router explain orders -c router.toml -o json`,
		Args: oneArgument, ValidArgsFunction: complete(routeNames),
	}
	configFlag(cmd, &path)
	outputFlag(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		plan, warnings, err := app.Check(cmd.Context(), path)
		warn(cmd, warnings)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			if plan, err = plan.Route(args[0]); err != nil {
				return err
			}
		}
		if output == "json" {
			return printJSON(cmd, plan)
		}
		return plan.WriteText(cmd.OutOrStdout())
	}
	return cmd
}

func printJSON(cmd *cobra.Command, v any) error {
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
