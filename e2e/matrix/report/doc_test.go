package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// declared returns the tests of the matrix, by row.
func declared(t *testing.T) map[int][]string {
	t.Helper()
	files, err := filepath.Glob("../*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[int][]string{}
	pattern := regexp.MustCompile(`(?m)^func (TestF\w+)\(t \*testing\.T\)`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
			n := number(m[1])
			tests[n] = append(tests[n], m[1])
		}
	}
	return tests
}

// TestRowsAndTestsFit holds the matrix to the tests that there are.
func TestRowsAndTestsFit(t *testing.T) {
	tests := declared(t)
	for n, names := range tests {
		if n < 1 || n > len(rows) {
			t.Errorf("%q are of no row of the matrix", names)
		}
	}
	for i, r := range rows {
		if r.number != i+1 {
			t.Errorf("row %d has number %d", i+1, r.number)
		}
		if len(tests[r.number]) == 0 {
			t.Errorf("row %d (%s) has no test", r.number, r.fault)
		}
	}
}

// TestTheDocumentShowsTheFigures holds the table of the guarantees to the figures that
// were measured last, and these to the tests.
func TestTheDocumentShowsTheFigures(t *testing.T) {
	list, err := load("../../../docs/matrix.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../../docs/GUARANTEES.md")
	if err != nil {
		t.Fatal(err)
	}
	filled, err := fill(string(doc), list)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(filled, string(doc)); diff != "" {
		t.Errorf("write it anew with make matrix MATRIX='-runs 0' (-want +got):\n%s", diff)
	}
	tests := declared(t)
	for _, f := range list {
		if all, n := f.passes(); !all || n < 3 {
			t.Errorf("F%d has passed with %d of %d seeds; the document is to show three that passed", f.Row, n, len(f.Passed))
		}
		for _, name := range f.Tests {
			if !slices.Contains(tests[f.Row], name) {
				t.Errorf("F%d has figures of %s, which is gone", f.Row, name)
			}
		}
	}
}
