package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/config"
)

func TestFilterFileHasTheKeysOfAFilterTable(t *testing.T) {
	f, warnings, err := config.ParseFilter("filter.toml", []byte(`
path = "orders.wasm"
stages = ["decide"]
config = { queue = "orders", list = [1, 2] }
limits = { time = "20ms" }
grants = { metrics = true }
`), t.TempDir())
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	want := config.Default().Filter
	want.Path, want.Stages = "orders.wasm", []string{"decide"}
	want.Config = config.Table{"queue": "orders", "list": []any{int64(1), int64(2)}}
	if err := want.Limits.Time.UnmarshalText([]byte("20ms")); err != nil {
		t.Fatal(err)
	}
	want.Grants.Metrics = true
	if diff := cmp.Diff(want, f.Filter); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if f.File() != "filter.toml" || !filepath.IsAbs(f.Dir()) {
		t.Errorf("file %q, dir %q", f.File(), f.Dir())
	}
}

func TestFilterFileIsReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		``:                                        `f:1:1: path: missing; add path = ...`,
		"path = \"x.wasm\"\nlimit = {}":           `f:2:9: limit: unknown key; did you mean "limits"?`,
		"path = \"x.wasm\"\nlisten = 1":           `f:2:10: listen: unknown key; it belongs in [routes.NAME] or [admin]`,
		`path = "../x.wasm"`:                      `f:1:8: path: leads out of the configuration's directory; a filter.toml and its module lie in one directory`,
		"path = \"x.wasm\"\nsha256 = \"12\"":      `f:2:10: sha256: not a SHA-256; write the 64 hexadecimal digits that sha256sum prints`,
		"path = \"x.wasm\"\nlimits.fuel = 3":      `f:2:15: limits.fuel: 3 is too small; the least is 1000`,
		"path = \"x.wasm\"\nstages = [\"later\"]": `f:2:11: stages[0]: "later" is not known here; known: decode, unpack, decide, pack, encode`,
		"path = \"x.wasm\"\nshadow.path = \"y\"":  `f:2:1: shadow: a filter.toml is of one version; write [filters.NAME.shadow] in router.toml`,
		`path = `:                                 `f:1:7: path: the value is missing; write KEY = VALUE`,
	} {
		_, _, err := config.ParseFilter("f", []byte(text), ".")
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got: %v\nwant: %s", text, err, want)
		}
	}
}

func TestModuleOfAFilterFileLiesBesideIt(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, config.FilterFileName)
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := config.LoadFilter(file, config.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write(file, "path = \"x.wasm\"\nlimits.module_size = \"8B\"\n")
	f, _, err := config.LoadFilter(file, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	read := func() string {
		b, err := f.ReadModule()
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	at := file + ":1:8: path: "
	if got, want := read(), at+"there is no \"x.wasm\": no such file or directory; run `router filter build`"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	write(filepath.Join(dir, "x.wasm"), "01234567")
	if got := read(); got != "01234567" {
		t.Errorf("got %q", got)
	}
	write(filepath.Join(dir, "x.wasm"), "012345678")
	if got, want := read(), at+`cannot read "x.wasm": it is too large: the limit is 8B; raise limits.module_size`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	outside := filepath.Join(t.TempDir(), "y.wasm")
	write(outside, "y")
	if err := errors.Join(os.Remove(filepath.Join(dir, "x.wasm")), os.Symlink(outside, filepath.Join(dir, "x.wasm"))); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadModule(); err == nil {
		t.Error("a link leads out of the directory and is followed")
	}
}
