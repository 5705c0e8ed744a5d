package config

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testEnv is the environment of the golden files.
func testEnv(name string) (string, bool) {
	value, ok := map[string]string{
		"QUEUE": "orders.in", "NUMBER": "64", "WORD": "many", "EMPTY": "", "KIND": "directt",
		"INJECT": "x\"\n[process]\nrequire_pins = true\n#", "NESTED": "${env:QUEUE}", "BINARY": "\xff",
	}[name]
	return value, ok
}

// complete tests that every error says all that there is to say.
func complete(t *testing.T, file string, warnings []Warning, err error) {
	all, _ := errors.AsType[Errors](err)
	for _, w := range warnings {
		all = append(all, &w.Error)
	}
	// What cannot be read as TOML has a position but often no key.
	syntax := false
	for _, name := range []string{"syntax", "binary", "bom", "wasm", "utf16", "latin1", "nul", "lone_cr", "too_deep"} {
		syntax = syntax || strings.HasPrefix(filepath.Base(file), name)
	}
	for _, e := range all {
		if e.File != "router.toml" || e.Line < 1 || e.Col < 1 || e.Problem == "" || e.Hint == "" || e.Key == "" && !syntax {
			t.Errorf("incomplete: %#v", e)
		}
	}
	positions := func(a, b *Error) int { return cmp.Or(a.Line-b.Line, a.Col-b.Col) }
	if es, ok := errors.AsType[Errors](err); ok && !slices.IsSortedFunc(es, positions) {
		t.Errorf("not in the order of the file: %v", es)
	}
}

// report is what a golden file holds: every error and warning, a line each.
func report(warnings []Warning, err error) string {
	var b strings.Builder
	if all, ok := errors.AsType[Errors](err); ok {
		for _, e := range all {
			fmt.Fprintln(&b, "error:", e)
		}
	} else if err != nil {
		fmt.Fprintln(&b, "no Errors:", err)
	}
	for _, w := range warnings {
		fmt.Fprintln(&b, "warning:", w)
	}
	return b.String()
}

func TestBadFilesAreReportedAsInTheirGoldenFiles(t *testing.T) {
	golden(t, "testdata/bad/*.toml", func(t *testing.T, err error) {
		if err == nil {
			t.Error("the file was accepted")
		}
	}, 30)
}

func TestDoubtfulFilesAreReportedAsInTheirGoldenFiles(t *testing.T) {
	golden(t, "testdata/doubtful/*.toml", func(t *testing.T, err error) {
		if err != nil {
			t.Error("the file was refused")
		}
	}, 3)
}

func golden(t *testing.T, pattern string, verdict func(*testing.T, error), least int) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < least {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, warnings, err := parse("router.toml", data, "testdata", Options{Env: testEnv})
			verdict(t, err)
			complete(t, file, warnings, err)
			got := report(warnings, err)
			name := strings.TrimSuffix(file, ".toml") + ".golden"
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(string(bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))), got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}
