package filters_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/filters"
)

// sums is what SHA256SUMS says: the toolchains that built the modules, and the
// modules' sums by their paths.
type sums struct {
	tools, modules map[string]string
}

func readSums(t *testing.T) sums {
	t.Helper()
	b, err := os.ReadFile("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	s := sums{map[string]string{}, map[string]string{}}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		line := sc.Text()
		if tool, version, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": "); ok {
			s.tools[tool] = version
		} else if sum, path, ok := strings.Cut(line, "  "); ok {
			s.modules[path] = sum
		}
	}
	return s
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func path(name string) string {
	dir := "stock/"
	if base, ok := strings.CutPrefix(name, "demo:"); ok {
		dir, name = "demo/", base
	}
	return dir + name + "/" + name + ".wasm"
}

func TestSumsAreOfTheModules(t *testing.T) {
	got := map[string]string{}
	for _, name := range filters.List() {
		got[path(name)] = sum(stock(t, name))
	}
	if diff := cmp.Diff(readSums(t).modules, got); diff != "" {
		t.Errorf("run filters/build.sh (-SHA256SUMS +modules):\n%s", diff)
	}
}

// sources reads what the modules are built from. go test keeps the result of a
// test until a file changes that the test itself has read.
func sources(t testing.TB) {
	t.Helper()
	for _, root := range []string{"build.sh", "sdk", "shared", "stock", "demo"} {
		err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			_, err = os.ReadFile(file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// toolOf says which tools make a module.
func toolOf(name string) []string {
	switch {
	case strings.HasPrefix(name, "demo:"):
		return []string{"wat2wasm"}
	case name == "context-packer":
		return []string{"go"}
	}
	return []string{"clang", "lld"}
}

// The checked-in modules are what their sources say: built again with the same
// toolchain they have the same bytes, and with another one they still pass
// their cases.
func TestModulesAreBuiltFromTheirSources(t *testing.T) {
	sources(t)
	dir := t.TempDir()
	cmd := exec.Command("./build.sh")
	cmd.Env = append(os.Environ(), "OUT="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	out, err := exec.Command("./build.sh", "--tools").Output()
	if err != nil {
		t.Fatal(err)
	}
	here := map[string]string{}
	for line := range strings.Lines(string(out)) {
		tool, version, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "# ")), ": ")
		here[tool] = version
	}
	recorded := readSums(t)
	if want := slices.Sorted(maps.Keys(recorded.tools)); !slices.Equal(want, slices.Sorted(maps.Keys(here))) {
		t.Fatalf("SHA256SUMS records %v, build.sh --tools reports %v", want, here)
	}
	for _, name := range filters.List() {
		t.Run(name, func(t *testing.T) {
			module, err := os.ReadFile(filepath.Join(dir, path(name)))
			if err != nil {
				t.Fatal(err)
			}
			same := true
			for _, tool := range toolOf(name) {
				if here[tool] != recorded.tools[tool] {
					same = false
					t.Logf("built with %q, recorded is %q: its cases are run, its bytes not compared", here[tool], recorded.tools[tool])
				}
			}
			switch {
			case same && sum(module) != recorded.modules[path(name)]:
				t.Errorf("built from source it has other bytes: run filters/build.sh")
			case !same && strings.HasPrefix(name, "demo:"):
				runDemo(t, name, module)
			case !same:
				runCases(t, name, module)
			}
		})
	}
}
