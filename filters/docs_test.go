package filters_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/internal/doctest"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// secretFile is where an example reads a file that is not there.
var secretFile = regexp.MustCompile(`\$\{file:[^}]*\}`)

// The examples of the READMEs must be configurations that the filters take.
func TestExamplesOfTheREADMEs(t *testing.T) {
	blocks, err := doctest.Language("toml", "stock")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, b := range blocks {
		text := secretFile.ReplaceAllString(b.Text, "a secret out of a file")
		c, _, err := config.Parse(b.File, []byte(text), filepath.Dir(b.File))
		if err != nil {
			t.Error(err)
			continue
		}
		for name, f := range c.Filters {
			stockName, ok := f.Stock()
			if !ok {
				t.Errorf("%s: filter %s is no stock filter", b.File, name)
				continue
			}
			seen[stockName] = true
			loaded, err := host.Load(t.Context(), wasmhost.FilterConfig{
				Name: name, Module: stock(t, stockName), Config: f.Config,
				Grants: wasmhost.Grants{Clock: f.Grants.Clock, Random: f.Grants.Random, Metrics: f.Grants.Metrics, KV: f.Grants.KV},
				Limits: wasmhost.Limits{KVSize: f.Limits.KVSize.Bytes(), KVTTL: f.Limits.KVTTL.Std(), StartTime: time.Minute},
			})
			if err != nil {
				t.Errorf("%s:%d: %v", b.File, b.Line, err)
				continue
			}
			if err := loaded.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	for _, name := range filters.List() {
		if !seen[name] && !strings.HasPrefix(name, "demo:") {
			t.Errorf("no example shows stock:%s", name)
		}
	}
}

const guide = "../docs/FILTERS.md"

// code returns the guide's one block of a language, which must be short.
func code(t *testing.T, language string) string {
	t.Helper()
	blocks, err := doctest.Language(language, guide)
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) != 1 {
		t.Fatalf("%s has %d blocks of %s; want 1", guide, len(blocks), language)
	}
	if n := strings.Count(blocks[0].Text, "\n"); n > 20 {
		t.Errorf("%s: the %s example has %d lines; the guide promises 20", guide, language, n)
	}
	return blocks[0].Text
}

// commands returns the guide's build commands for one language.
func commands(t *testing.T, source string) string {
	t.Helper()
	blocks, err := doctest.Language("sh", guide)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if strings.Contains(b.Text, source) {
			return b.Text
		}
	}
	t.Fatalf("%s has no commands with %s", guide, source)
	return ""
}

func shell(t testing.TB, dir, script string, env ...string) {
	t.Helper()
	sources(t)
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
}

// The guide's filters do the same; they are built as it says and run.
func TestFiltersOfTheGuide(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	inDir := func(language, source, before string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, source), code(t, language))
			if err := os.Symlink(filepath.Join(root, "filters"), filepath.Join(dir, "filters")); err != nil {
				t.Fatal(err)
			}
			shell(t, dir, before+commands(t, source))
		}
	}
	const rustc = `rustc=$(filters/sdk/rust/testdata/build.sh --rustc); rustc() { "$rustc" "$@"; }` + "\n"
	build := map[string]func(t *testing.T, dir string){
		"c":              inDir("c", "route.c", ""),
		"rust":           inDir("rust", "route.rs", rustc),
		"assemblyscript": inDir("ts", "route.ts", ""),
		"wat":            inDir("wat", "route.wat", ""),
		"go": func(t *testing.T, dir string) {
			source := filepath.Join(dir, "main.go")
			write(t, source, code(t, "go"))
			// The package lies in the module without being written there.
			overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "route", "main.go"): source}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "overlay.json"), string(overlay))
			script := strings.ReplaceAll(commands(t, "./route"), "-o route.wasm", "-o "+filepath.Join(dir, "route.wasm"))
			shell(t, root, script, "GOFLAGS=-buildvcs=false -overlay="+filepath.Join(dir, "overlay.json"))
		},
	}
	for language, build := range build {
		t.Run(language, func(t *testing.T) {
			dir := t.TempDir()
			build(t, dir)
			module, err := os.ReadFile(filepath.Join(dir, "route.wasm"))
			if err != nil {
				t.Fatal(err)
			}
			f, err := loadFilter(t, "route", module, map[string]any{"queue": "orders.big"})
			if err != nil {
				t.Fatal(err)
			}
			for body, want := range map[string]string{
				`{"order":{"type":"created"}}`: "action: forward\ntarget: queue:orders.big\nheader kind: string created\n",
				`{}`:                           "action: reject\nreason: the body has no order.type\n",
			} {
				before := router.NewEnvelope(nil, []byte(body))
				env, d := before.Clone(), router.Decision{}
				if err := f.Run(t.Context(), router.Decide, &env, &d); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, describe(&before, &env, &d)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", body, diff)
				}
			}
		})
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
