package doctest

import (
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

// Each claim of SECURITY.md names tests, and they exist.
func TestEveryClaimNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	claims, inside := 0, false
	for n, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "## ") {
			inside = line == "## Claims"
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !inside || !strings.HasPrefix(line, "| ") || cells[0] == "claim" {
			continue
		}
		claims++
		tests := namedTest.FindAllStringSubmatch(line, -1)
		if len(cells) != 2 || len(tests) == 0 || len(tests) != len(otherName.FindAllString(line, -1)) {
			t.Errorf("SECURITY.md:%d: want a claim, and package and name of each of its tests: %s", n+1, line)
		}
		for _, test := range tests {
			if !exists(t, test[1], test[2]) {
				t.Errorf("SECURITY.md:%d: package %s has no %s", n+1, test[1], test[2])
			}
		}
	}
	if claims < 30 {
		t.Errorf("found %d claims only", claims)
	}
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
