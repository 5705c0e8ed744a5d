package filters_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// buildRust builds the filter whose source is appended.
const buildRust = "build() { sdk/rust/testdata/build.sh $1 $OUT; }; build "

// The Rust SDK and a filter compile without a warning with the first compiler of
// PATH too, which may be a newer one, and for this machine, for unit tests.
func TestRustSDKCompilesHere(t *testing.T) {
	lib := filepath.Join(t.TempDir(), "librouter_filter.rmeta")
	shell(t, ".", `
rustc --edition 2021 -D warnings --emit metadata --crate-type rlib --crate-name router_filter -o "$LIB" sdk/rust/src/lib.rs
rustc --edition 2021 -D warnings --emit metadata --crate-type lib --crate-name filter --extern router_filter="$LIB" \
	-o "${LIB%/*}/libfilter.rmeta" sdk/rust/testdata/all.rs`, "LIB="+lib)
}

// The same source gives the same bytes wherever it lies.
func TestRustModulesAreReproducible(t *testing.T) {
	var modules [2][]byte
	for i := range modules {
		dir := t.TempDir()
		out := filepath.Join(dir, "f.wasm")
		if err := os.CopyFS(filepath.Join(dir, "sdk", "rust"), os.DirFS("sdk/rust")); err != nil {
			t.Fatal(err)
		}
		shell(t, dir, buildRust+"sdk/rust/testdata/panic.rs", "OUT="+out)
		var err error
		if modules[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(modules[i], []byte(dir)) {
			t.Errorf("the module names the directory %s", dir)
		}
	}
	if !bytes.Equal(modules[0], modules[1]) {
		t.Error("two directories, two modules")
	}
}

// A filter that panics says where and why.
func TestPanicsOfRustFilters(t *testing.T) {
	f, err := loadFilter(t, "panic", built(t, buildRust+"sdk/rust/testdata/panic.rs"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		"ab":     "sdk/rust/testdata/panic.rs:14",
		"a":      "the len is 1 but the index is 2",
		"fail":   "abort: gruß",
		"nested": "abort: a State was used within its own with()",
		"abc":    "",
	} {
		env, d := router.NewEnvelope(nil, []byte(body)), router.Decision{}
		err := f.Run(t.Context(), router.Decide, &env, &d)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", body, err)
			}
			continue
		}
		var fe *router.FilterError
		if !errors.As(err, &fe) || fe.Class != wasmhost.ClassTrap || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want a trap with %q", body, err, want)
		}
	}
}

// The SDK and the allocator of the standard library both make memory bigger, and
// do not take each other's.
func TestRustFiltersWithTheStandardLibrary(t *testing.T) {
	f, err := loadFilter(t, "std", built(t, `export SDK_FLAGS='--cfg feature="std"'; `+buildRust+"sdk/rust/testdata/std.rs"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		env, d := router.NewEnvelope(nil, bytes.Repeat([]byte{byte(i)}, 2000*i)), router.Decision{}
		if err := f.Run(t.Context(), router.Decide, &env, &d); err != nil {
			t.Fatal(err)
		}
		if sound, _ := env.Header("sound"); sound != "true" || len(env.Body) != 2000*i {
			t.Fatalf("message %d: memory is sound: %v", i, sound)
		}
	}
}
