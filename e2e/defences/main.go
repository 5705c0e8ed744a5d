// Command defences takes the router's defences out, one after the other, and demands that
// the tests which docs/SECURITY.md names for them fail. Run it with make defences. No file of
// the tree is touched: the compiler is shown changed ones.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"time"
)

func main() {
	pattern := flag.String("run", "", "only defences with this `pattern` in their claim, test or description")
	jobs := flag.Int("jobs", runtime.GOMAXPROCS(0), "how many tests run at the same time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, *pattern, max(1, *jobs))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "defences:", err)
		os.Exit(1)
	}
}

// run tries the defences that match the pattern in the module at the working directory and
// prints a line for each.
func run(ctx context.Context, out io.Writer, pattern string, jobs int) error {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "defences-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	trials := &trials{root: root, dir: dir, jobs: jobs, took: map[string]time.Duration{}}
	var chosen []trial
	for _, c := range slices.Concat(claims(), faults()) {
		for _, d := range c.defences {
			if wanted.MatchString(c.begin + " " + d.test + " " + d.what) {
				chosen = append(chosen, trial{claim: c.begin, defence: d})
			}
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no defence matches %q", pattern)
	}
	began := time.Now()
	if err := trials.sound(ctx, chosen); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d defences; all their tests pass with them (%.0f s)\n", len(chosen), time.Since(began).Seconds())
	caught := 0
	var broken []error
	for t := range trials.taken(ctx, chosen) {
		switch {
		case t.err != nil:
			broken = append(broken, t.err)
			fmt.Fprintf(out, "broken    %s\n          %v\n", t, t.err)
		case t.caught:
			caught++
			fmt.Fprintf(out, "caught    %s\n          %s\n", t, t.says)
		default:
			fmt.Fprintf(out, "SURVIVES  %s\n", t)
		}
	}
	fmt.Fprintf(out, "%d of %d caught in %.0f s\n", caught, len(chosen), time.Since(began).Seconds())
	switch survivors := len(chosen) - caught - len(broken); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(broken) > 0:
		return errors.Join(broken...)
	case survivors > 0:
		return fmt.Errorf("%d tests pass without the defence that they are named for", survivors)
	}
	return nil
}
