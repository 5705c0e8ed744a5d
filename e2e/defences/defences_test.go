package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile("`([a-z0-9/]+)` `((?:Test|Fuzz)[A-Za-z0-9]+)`")
	otherName = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
)

// Each claim of SECURITY.md names tests, they exist, and each has a defence whose absence
// it has to see; there are no others.
func TestEveryClaimHasItsDefences(t *testing.T) {
	rows, known := rows(t), claims()
	total := 0
	for i, row := range rows {
		if i >= len(known) || !strings.HasPrefix(row.text, known[i].begin) {
			t.Fatalf("SECURITY.md:%d: no defences for this claim, here in the table: %s", row.line, row.text)
		}
		var tried []string
		for _, d := range known[i].defences {
			total++
			if !slices.Contains(row.tests, d.test) {
				t.Errorf("SECURITY.md:%d does not name %s, which sees that %s", row.line, d.test, d.what)
			}
			tried = append(tried, d.test)
		}
		for _, test := range row.tests {
			if pkg, name, _ := strings.Cut(test, " "); !exists(t, pkg, name) {
				t.Errorf("SECURITY.md:%d: package %s has no %s", row.line, pkg, name)
			}
			if !slices.Contains(tried, test) {
				t.Errorf("SECURITY.md:%d: no defence is taken out for %s", row.line, test)
			}
		}
	}
	if len(known) != len(rows) {
		t.Errorf("the table has %d claims, SECURITY.md %d", len(known), len(rows))
	}
	text := document(t)
	if want := fmt.Sprintf("takes each of %d defences out", total); !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
		t.Errorf("SECURITY.md does not say that make defences %s", want)
	}
}

// What is to be taken out is there, once, and what comes instead is something else.
func TestDefencesCanBeTakenOut(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	ts := &trials{root: root}
	for _, c := range slices.Concat(claims(), faults()) {
		for _, d := range c.defences {
			if pkg, name, _ := strings.Cut(d.test, " "); !exists(t, pkg, name) {
				t.Errorf("package %s has no %s", pkg, name)
			}
			if len(d.edits) == 0 {
				t.Errorf("%s: %s: nothing is taken out", d.test, d.what)
			}
			for _, e := range d.edits {
				if e.old == e.new {
					t.Errorf("%s: %s: the edit of %s changes nothing", d.test, d.what, e.file)
				}
			}
			if _, err := ts.changed(d.edits); err != nil {
				t.Errorf("%s: %s: %v", d.test, d.what, err)
			}
		}
	}
}

// row is one of SECURITY.md's claims.
type row struct {
	line  int
	text  string
	tests []string // package and name
}

func rows(t *testing.T) []row {
	t.Helper()
	var rows []row
	inside := false
	for n, line := range strings.Split(document(t), "\n") {
		if strings.HasPrefix(line, "## ") {
			inside = line == "## Claims"
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !inside || !strings.HasPrefix(line, "| ") || cells[0] == "claim" {
			continue
		}
		r := row{line: n + 1, text: cells[0]}
		for _, m := range namedTest.FindAllStringSubmatch(line, -1) {
			r.tests = append(r.tests, m[1]+" "+m[2])
		}
		if len(cells) != 2 || len(r.tests) == 0 || len(r.tests) != len(otherName.FindAllString(line, -1)) {
			t.Errorf("SECURITY.md:%d: want a claim, and package and name of each of its tests: %s", n+1, line)
		}
		rows = append(rows, r)
	}
	if len(rows) < 30 {
		t.Errorf("found %d claims only", len(rows))
	}
	return rows
}

func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exists reports whether a package's test files declare a test.
func exists(t *testing.T, pkg, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "\nfunc "+name+"(")
	})
}
