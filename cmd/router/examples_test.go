package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/app/workbench"
)

const examples = "../../examples"

// Each example does what its page says: its cases pass, and on the embedded broker
// its messages and calls come out as they are shown.
func TestTheExamples(t *testing.T) {
	pages, err := filepath.Glob(examples + "/*/README.md")
	if err != nil || len(pages) != 5 {
		t.Fatalf("%d examples: %v", len(pages), err)
	}
	for _, page := range pages {
		from := filepath.Dir(page)
		t.Run(filepath.Base(from), func(t *testing.T) {
			t.Parallel()
			r := newReader(t, t.TempDir())
			copyFiles(t, from, r)
			seen := map[string]int{}
			for _, b := range blocks(t, page) {
				seen[b.Info[0]]++
				r.read(b)
			}
			if seen["sh"] < 2 || seen["text"] < 1 {
				t.Errorf("the page shows too little: %v", seen)
			}
			code, metrics := r.router.get("GET", "/metrics")
			if code != 200 || !strings.Contains(metrics, "router_messages_received_total{") {
				t.Errorf("nothing went through the router: %d\n%s", code, metrics)
			}
			r.stop()
		})
	}
}

// copyFiles copies an example to where the reader is, with the reader's addresses.
func copyFiles(t *testing.T, from string, r *reader) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(name) == ".toml" {
			data = []byte(r.addresses.Replace(string(data)))
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		to := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, data, info.Mode())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The filters of the examples, and how the version of the compiler of each is asked.
var exampleFilters = []struct {
	project string
	tool    []string
}{
	{"oslo-bridge/bridge", []string{"rustc", "--version"}},
	{"pii-redaction/cards", []string{"clang", "--version"}},
	{"rpc-gateway/door", []string{"go", "env", "GOVERSION"}},
}

// Built again by the same compiler, a filter of an example has the same bytes.
// UPDATE_EXAMPLES=1 builds them in place and writes SHA256SUMS.
func TestFiltersOfExamplesAreBuiltFromTheirSources(t *testing.T) {
	update := os.Getenv("UPDATE_EXAMPLES") != ""
	recorded, err := os.ReadFile(examples + "/SHA256SUMS")
	if err != nil && !update {
		t.Fatal(err)
	}
	var sums bytes.Buffer
	for _, f := range exampleFilters {
		name := filepath.Base(f.project) + ".wasm"
		dir := examples + "/" + f.project
		if !update {
			dir = copyProject(t, dir)
		}
		if _, err := workbench.Build(context.WithoutCancel(t.Context()), dir, workbench.BuildOptions{}); err != nil {
			t.Fatal(err)
		}
		module, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		version, err := exec.CommandContext(t.Context(), f.tool[0], f.tool[1:]...).Output()
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(version), "\n")
		sum := sha256.Sum256(module)
		entry := fmt.Sprintf("# %s: %s\n%s  %s/%s\n", f.tool[0], line, hex.EncodeToString(sum[:]), f.project, name)
		sums.WriteString(entry)
		if tool, _, _ := strings.Cut(entry, "\n"); !update && !strings.Contains(string(recorded), tool+"\n") {
			t.Logf("%s: another compiler built it, %s: its bytes are not compared", f.project, line)
			recorded = nil
		}
	}
	if update {
		if err := os.WriteFile(examples+"/SHA256SUMS", sums.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if recorded == nil {
		return
	}
	if diff := cmp.Diff(string(recorded), sums.String()); diff != "" {
		t.Errorf("run UPDATE_EXAMPLES=1 go test ./cmd/router -run FiltersOfExamples (-recorded +built):\n%s", diff)
	}
	for _, f := range exampleFilters {
		module, err := os.ReadFile(examples + "/" + f.project + "/" + filepath.Base(f.project) + ".wasm")
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(module)
		if !slices.Contains(strings.Fields(string(recorded)), hex.EncodeToString(sum[:])) {
			t.Errorf("%s: SHA256SUMS has another module", f.project)
		}
	}
}

// copyProject copies a filter's sources, with the SDK that its link names.
func copyProject(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	sdk, err := filepath.EvalSymlinks(filepath.Join(from, "sdk"))
	if err == nil {
		sdk, err = filepath.Abs(sdk)
	}
	if err == nil {
		err = os.Symlink(sdk, filepath.Join(to, "sdk"))
	}
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || filepath.Ext(e.Name()) == ".wasm" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}
