package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// figures are what the runs of one row have shown, all seeds and tests together.
type figures struct {
	Row         int               `json:"row"`
	Fault       string            `json:"fault"`
	Tests       []string          `json:"tests"`
	Date        string            `json:"date"`
	Passed      map[string]bool   `json:"passed"` // by seed
	Messages    int               `json:"messages"`
	Faults      int               `json:"faults"`
	Lost        int               `json:"lost"`
	Changed     int               `json:"changed"`
	Duplicates  int               `json:"duplicates"`
	Bound       int               `json:"duplicates_bound"`
	Disordered  int               `json:"disordered"`
	Mixed       bool              `json:"order_not_promised,omitempty"` // by some test
	DeadLetters int               `json:"dead_letters"`
	Recovery    []float64         `json:"recovery_seconds,omitempty"` // median, longest
	Notes       map[string]string `json:"notes,omitempty"`            // of the last seed
}

// gather makes the figures of the rows that were played.
func gather(trials []*trial, now time.Time) []figures {
	all := map[int]*figures{}
	recoveries := map[int][]float64{}
	for _, t := range trials {
		for test, passed := range t.verdict {
			n := number(test)
			if n == 0 {
				continue
			}
			f := all[n]
			if f == nil {
				f = &figures{Row: n, Date: now.Format(time.DateOnly), Passed: map[string]bool{}, Notes: map[string]string{}}
				all[n] = f
			}
			if !slices.Contains(f.Tests, test) {
				f.Tests = append(f.Tests, test)
			}
			seed := fmt.Sprint(t.seed)
			before, known := f.Passed[seed]
			f.Passed[seed] = passed && (before || !known)
		}
		for _, r := range t.results {
			n := number(r.Test)
			f := all[n]
			if f == nil {
				continue
			}
			f.Messages += r.Attempted
			f.Faults += r.Count()
			f.Lost += r.Lost
			f.Changed += r.Changed
			f.Duplicates += r.Duplicated
			f.Bound += r.Bound()
			if r.Mixed {
				f.Mixed = true
			} else {
				f.Disordered += r.Disordered
			}
			for _, c := range r.DeadLetters {
				f.DeadLetters += c
			}
			recoveries[n] = append(recoveries[n], r.Recoveries...)
			maps.Copy(f.Notes, r.Notes)
		}
	}
	var list []figures
	for _, r := range rows {
		f := all[r.number]
		if f == nil {
			continue
		}
		f.Fault = r.fault
		slices.Sort(f.Tests)
		if times := recoveries[r.number]; len(times) > 0 {
			slices.Sort(times)
			f.Recovery = []float64{times[len(times)/2], times[len(times)-1]}
		}
		list = append(list, *f)
	}
	return list
}

// passes reports whether every seed has passed, and how many did.
func (f *figures) passes() (all bool, n int) {
	for _, ok := range f.Passed {
		if ok {
			n++
		}
	}
	return n == len(f.Passed) && n > 0, n
}

// cells are the figures in words. A row without a count has no load that is counted.
func (f *figures) cells() []string {
	if f.Messages == 0 {
		return []string{"-", "-", "-", "-", "-", "-", f.recovery()}
	}
	order := fmt.Sprint(f.Disordered)
	if f.Mixed {
		order = "not promised"
	}
	return []string{
		fmt.Sprint(f.Messages), fmt.Sprint(f.Faults), fmt.Sprint(f.Lost + f.Changed),
		fmt.Sprintf("%d of %d", f.Duplicates, f.Bound), order, fmt.Sprint(f.DeadLetters), f.recovery(),
	}
}

func (f *figures) recovery() string {
	if f.Recovery == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f, %.2f", f.Recovery[0], f.Recovery[1])
}

func (f *figures) notes() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(f.Notes)) {
		list = append(list, name+": "+f.Notes[name])
	}
	return list
}

// writeText writes the table for a terminal. Rows that were not played are left out.
func writeText(w io.Writer, list []figures) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "row\tfault\tpassed\tmessages\tfaults\tlost or changed\tduplicates\tout of order\tdead letters\tflow again: median, longest s")
	for i := range list {
		f := &list[i]
		verdict := "passed"
		all, n := f.passes()
		if !all {
			verdict = "FAILED"
		}
		fmt.Fprintf(tw, "F%d\t%s\t%s %d/%d\t%s\n", f.Row, f.Fault, verdict, n, len(f.Passed), strings.Join(f.cells(), "\t"))
	}
	_ = tw.Flush() // an error is the writer's own
	for i := range list {
		f := &list[i]
		for _, note := range f.notes() {
			fmt.Fprintf(w, "F%d: %s\n", f.Row, note)
		}
		for _, seed := range slices.Sorted(maps.Keys(f.Passed)) {
			if !f.Passed[seed] {
				fmt.Fprintf(w, "F%d failed: ROUTER_E2E_SEED=%s go test -run '^(%s)$' ./e2e/matrix\n", f.Row, seed, strings.Join(f.Tests, "|"))
			}
		}
	}
}

// writeMarkdown writes the table of the documentation: every row of the matrix, with
// its figures if there are any.
func writeMarkdown(w io.Writer, list []figures) {
	known := map[int]*figures{}
	for i := range list {
		known[list[i].Row] = &list[i]
	}
	fmt.Fprintln(w, "| row | fault | must hold besides | runs passed | messages | faults | lost or changed | duplicates | out of order | dead letters | flow again: median, longest s |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		f := known[r.number]
		if f == nil {
			f = &figures{}
		}
		_, n := f.passes()
		passed := fmt.Sprintf("%d of %d", n, len(f.Passed))
		if len(f.Passed) == 0 {
			passed = "not measured"
		}
		fmt.Fprintf(w, "| F%d | %s | %s | %s | %s |\n", r.number, r.fault, r.criterion, passed, strings.Join(f.cells(), " | "))
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		if f := known[r.number]; f != nil && len(f.Notes) > 0 {
			fmt.Fprintf(w, "- F%d: %s.\n", r.number, strings.Join(f.notes(), "; "))
		}
	}
}
