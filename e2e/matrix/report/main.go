// Command report plays the fault matrix several times with different seeds, prints one
// table of what it has shown, and keeps the figures. Run it from the root of the module
// with make matrix.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// The part of the document that the figures fill.
const (
	docBegin = "<!-- figures: make matrix -->\n"
	docEnd   = "<!-- end of figures -->\n"
)

func main() {
	runs := flag.Int("runs", 3, "how often each row is played, each time with another seed; 0 only writes what is known")
	seed := flag.Uint64("seed", 0, "seed of the first run; 0 takes one by chance")
	pattern := flag.String("run", "^TestF", "the tests to play")
	short := flag.Bool("short", false, "let each fault strike only a few times, as make test does")
	file := flag.String("json", "docs/matrix.json", "where the figures are kept; rows that are not played keep theirs")
	doc := flag.String("doc", "docs/GUARANTEES.md", "the document to write the table into; empty for none")
	flag.Parse()
	failed, err := report(*runs, *seed, *pattern, *short, *file, *doc)
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

// report plays, prints and keeps. It returns whether a row that was played has failed.
func report(runs int, seed uint64, pattern string, short bool, file, doc string) (failed bool, err error) {
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	var trials []*trial
	for i := range runs {
		fmt.Fprintf(os.Stderr, "run %d of %d, seed %d\n", i+1, runs, seed+uint64(i))
		t, err := play(seed+uint64(i), pattern, short, os.Stderr)
		if err != nil {
			return true, err
		}
		trials = append(trials, t)
	}
	list := gather(trials, time.Now())
	for i := range list {
		if all, _ := list[i].passes(); !all {
			failed = true
		}
	}
	writeText(os.Stdout, list)
	known, err := load(file)
	if err != nil {
		return true, err
	}
	known = merge(known, list)
	text, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return true, err
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return true, err
	}
	if doc == "" {
		return failed, nil
	}
	old, err := os.ReadFile(doc)
	if err != nil {
		return true, err
	}
	filled, err := fill(string(old), known)
	if err != nil {
		return true, fmt.Errorf("%s: %w", doc, err)
	}
	return failed, os.WriteFile(doc, []byte(filled), 0o644)
}

// load reads figures that were kept; a file that is not there holds none.
func load(file string) (list []figures, err error) {
	doc, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(doc, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return list, nil
}

// merge puts newer figures in the place of older ones of the same row.
func merge(old, newer []figures) []figures {
	list := slices.DeleteFunc(slices.Clone(old), func(f figures) bool {
		return slices.ContainsFunc(newer, func(n figures) bool { return n.Row == f.Row })
	})
	list = append(list, newer...)
	slices.SortFunc(list, func(a, b figures) int { return a.Row - b.Row })
	return list
}

// fill writes the table between the document's two marks.
func fill(doc string, list []figures) (string, error) {
	before, rest, ok := strings.Cut(doc, docBegin)
	_, after, ended := strings.Cut(rest, docEnd)
	if !ok || !ended {
		return "", fmt.Errorf("it has no lines %q and %q for the table between them", strings.TrimSpace(docBegin), strings.TrimSpace(docEnd))
	}
	var table strings.Builder
	writeMarkdown(&table, list)
	return before + docBegin + "\n" + table.String() + "\n" + docEnd + after, nil
}
