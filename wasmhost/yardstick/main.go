// Command yardstick measures what one filter call costs beside other ways to
// run the same guest on the same machine, in turn: raw wazero without limits,
// wazero's own way to stop a call, and the Extism SDK. It is a module of its
// own, so that the router does not depend on what it is compared with.
//
//	cd wasmhost/yardstick && go run . [-rounds 7] [-lang c,rust,as,go]
//
// It needs the compilers of the languages, as the tests do.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 100, "how often each engine is measured; the fastest round is shown")
	slice := flag.Duration("slice", 10*time.Millisecond, "how long a round takes")
	langs := flag.String("lang", "c,rust,as,go", "the guests")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, strings.Split(*langs, ","), *rounds, *slice); err != nil {
		fmt.Fprintln(os.Stderr, "yardstick:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, langs []string, rounds int, slice time.Duration) error {
	if rounds < 1 || slice <= 0 {
		return fmt.Errorf("rounds and slice must be positive")
	}
	tw := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "guest\tengine\tCPU ns/call\tallocs/call\tto unmetered")
	ratios := 1.0
	for _, lang := range langs {
		guest, err := buildGuest(ctx, lang)
		if err != nil {
			return err
		}
		engines, err := open(ctx, lang, guest)
		if err != nil {
			return fmt.Errorf("%s: %w", lang, err)
		}
		costs, err := measure(engines, rounds, slice)
		if err != nil {
			return fmt.Errorf("%s: %w", lang, err)
		}
		base := costs["unmetered"].ns
		for _, e := range engines {
			c := costs[e.name]
			fmt.Fprintf(tw, "%s\t%s\t%.0f\t%.1f\t%.2f\n", lang, e.name, c.ns, c.allocs, c.ns/base)
			if err := e.close(ctx); err != nil {
				return err
			}
		}
		ratios *= costs["metered"].ns / base
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Printf("metered to unmetered, geometric mean of %s: %.2f\n", strings.Join(langs, ", "), math.Pow(ratios, 1/float64(len(langs))))
	return nil
}

// engine is one way to run the guest.
type engine struct {
	name  string
	call  func() error // handles the message once
	close func(context.Context) error
}

type cost struct{ ns, allocs float64 }

// measure runs the engines in turn, in short rounds, and returns the fastest
// round of each: what slows a round down is the rest of the machine.
func measure(engines []engine, rounds int, slice time.Duration) (map[string]cost, error) {
	best := make(map[string]cost)
	for range rounds {
		for _, e := range engines {
			c, err := once(e, slice)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.name, err)
			}
			if old, ok := best[e.name]; !ok || c.ns < old.ns {
				best[e.name] = c
			}
		}
	}
	return best, nil
}

// once measures processor time, which on a busy machine says more than the time
// on the wall.
func once(e engine, slice time.Duration) (cost, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin, start := cpu(), time.Now()
	n := 0
	for time.Since(start) < slice {
		for range 50 {
			if err := e.call(); err != nil {
				return cost{}, err
			}
		}
		n += 50
	}
	used := cpu() - begin
	runtime.ReadMemStats(&after)
	return cost{float64(used) / float64(n), float64(after.Mallocs-before.Mallocs) / float64(n)}, nil
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // there is no other reason than a wrong argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
