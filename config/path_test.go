//go:build unix

package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// load writes a file with one filter and returns what Parse says of it.
func withFilter(t *testing.T, dir, path, more string) (*Config, error) {
	t.Helper()
	c, _, err := Parse("router.toml", []byte("[filters.f]\npath = '"+path+"'\n"+more), dir)
	return c, err
}

func TestReadFilterStaysInTheDirectory(t *testing.T) {
	outside := t.TempDir()
	secret := write(t, outside, "secret.wasm", "outside", 0o600)
	dir := filepath.Join(outside, "etc")
	write(t, dir, "f.wasm", "inside", 0o600)
	write(t, dir, "deep/g.wasm", "deep", 0o600)
	for link, to := range map[string]string{"ok.wasm": "deep/g.wasm", "up.wasm": "../secret.wasm", "abs.wasm": secret, "dir": "..", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"f.wasm": "inside", "./f.wasm": "inside", "deep/../f.wasm": "inside", "deep/g.wasm": "deep", "ok.wasm": "deep",
		"up.wasm": "escapes", "abs.wasm": "escapes", "dir/secret.wasm": "escapes", "dir/etc/f.wasm": "escapes", "loop": "too many",
		"pipe": "not a regular file", "deep": "not a regular file", ".": "not a regular file", "none.wasm": "no such file", "%2e%2e/secret.wasm": "no such file",
		strings.Repeat("a/", 5000) + "f": "no such file", strings.Repeat("n", 300): "too long",
		"../secret.wasm": "leads out", secret: "leads out", "deep/../../secret.wasm": "leads out", "..": "leads out", "/proc/self/fd/0": "leads out",
	} {
		c, err := withFilter(t, dir, path, "")
		var data []byte
		if err == nil {
			data, err = c.ReadFilter("f")
		}
		if err == nil && string(data) != want {
			t.Errorf("%.40s: %s", path, data)
		}
		if err != nil && (!strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "router.toml:2:8: filters.f.path: ")) {
			t.Errorf("%.40s: %v", path, err)
		}
	}
	for _, path := range []string{"../secret.wasm", secret, "up.wasm"} {
		c, err := withFilter(t, dir, path, "[process]\nallow_outside_paths = true\n")
		if err != nil {
			t.Fatal(err)
		}
		if data, err := c.ReadFilter("f"); err != nil || string(data) != "outside" {
			t.Errorf("%s, allowed: %s, %v", path, data, err)
		}
	}
}

func TestReadFilterIsBounded(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "f.wasm", strings.Repeat("x", 100), 0o600)
	for size, ok := range map[string]bool{"100B": true, "99B": false} {
		c, err := withFilter(t, dir, "f.wasm", "limits.module_size = \""+size+"\"\n")
		if err != nil {
			t.Fatal(err)
		}
		data, err := c.ReadFilter("f")
		if ok != (err == nil) || ok && len(data) != 100 {
			t.Errorf("%s: %d bytes, %v", size, len(data), err)
		}
		if !ok && !strings.Contains(err.Error(), "the limit is 99B; raise filters.f.limits.module_size") {
			t.Error(err)
		}
	}
}

func TestReadFilterErrorsCanBeTold(t *testing.T) {
	c, err := withFilter(t, t.TempDir(), "f.wasm", "[filters.s]\npath = 'stock:content-router'\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadFilter("f"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := c.ReadFilter("s"); !errors.Is(err, ErrStock) {
		t.Error(err)
	}
	if _, err := c.ReadFilter("ff"); err == nil || !strings.Contains(err.Error(), `there is no filter "ff"; did you mean "f"?`) {
		t.Error(err)
	}
	if name, ok := c.Filters["s"].Stock(); !ok || name != "content-router" {
		t.Error(name, ok)
	}
}

func TestCacheDirectory(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/cache")
	if dir, err := mustParse(t, "").CacheDir(); err != nil || dir != filepath.Join("/cache", "wasmrouter") {
		t.Error(dir, err)
	}
	if dir, err := mustParse(t, "process.cache_dir = '/x'").CacheDir(); err != nil || dir != "/x" {
		t.Error(dir, err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := mustParse(t, "").CacheDir(); err == nil || !strings.Contains(err.Error(), "process.cache_dir") {
		t.Error(err)
	}
}

func TestSecretFilesArePlainFiles(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"pipe", ".", "/dev/zero", "/dev/null", "none", strings.Repeat("n", 300)} {
		_, _, err := Parse("router.toml", []byte("admin.token = '${file:"+path+"}'"), dir)
		if err == nil || !strings.HasPrefix(err.Error(), "router.toml:1:15: admin.token: cannot read the file ") {
			t.Errorf("%.40s: %v", path, err)
		}
	}
}
