package app_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/app"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// modules hides what changes whenever a stock filter is built anew.
var modules = regexp.MustCompile(`\b\d+B, sha256 [0-9a-f]{64}|\b\d+KiB, sha256 [0-9a-f]{64}`)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not current; if it should change, run go test -update (-file +now):\n%s", path, diff)
	}
}

func TestPlanGolden(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", cacheDir)
	plan, warnings, err := app.Check(t.Context(), "testdata/plan.toml")
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	var all bytes.Buffer
	if err := plan.WriteText(&all); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.golden", modules.ReplaceAll(all.Bytes(), []byte("SIZE, sha256 SUM")))

	one, err := plan.Route("audit")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(one, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.json.golden", append(text, '\n'))

	one, err = plan.Route("orders")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range one.Filters {
		names = append(names, f.Name)
	}
	for _, f := range one.Filters {
		want := map[string][]string{"by_type": {"time", "fuel"}, "context": {}, "pack": {}}[f.Name]
		if diff := cmp.Diff(want, f.LimitsChanged); diff != "" {
			t.Errorf("%s: limits that are not the default (-want +got):\n%s", f.Name, diff)
		}
	}
	if diff := cmp.Diff([]string{"by_type", "context", "pack"}, names); diff != "" {
		t.Errorf("the filters of route orders (-want +got):\n%s", diff)
	}
	if _, err := plan.Route("orderz"); err == nil || !strings.Contains(err.Error(), "audit, orders") {
		t.Errorf("an unknown route: %v", err)
	}
}

// The example that the repository begins with is without fault.
func TestExampleIsGood(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", cacheDir)
	plan, warnings, err := app.Check(t.Context(), "../router.toml")
	if err != nil || len(warnings) > 0 {
		t.Errorf("%v %v", warnings, err)
	} else if len(plan.Routes) == 0 {
		t.Error("it has no routes")
	}
}

// Without a cache directory filters are compiled each time.
func TestCheckWithoutHome(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if _, _, err := app.Check(t.Context(), "testdata/plan.toml"); err != nil {
		t.Error(err)
	}
	notDir := filepath.Join(t.TempDir(), "file")
	write(t, notDir, "")
	t.Setenv("XDG_CACHE_HOME", notDir)
	if _, _, err := app.Check(t.Context(), "testdata/plan.toml"); err != nil {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "router.toml")
	write(t, path, "[process]\ncache_dir = \""+notDir+"\"\n")
	if _, _, err := app.Check(t.Context(), path); err == nil || !strings.Contains(err.Error(), "process.cache_dir: ") {
		t.Errorf("with a file as cache_dir: %v", err)
	}
}
