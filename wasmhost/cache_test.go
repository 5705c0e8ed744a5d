package wasmhost

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/wasmrouter/router/router"
)

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "cache")
	for range 2 {
		h, err := New(context.Background(), Config{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: watFile(t, "pass")}); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	var files int
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && d.IsDir() && path != dir && strings.HasPrefix(d.Name(), "filters-") && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %#o", path, info.Mode().Perm())
		}
		if !d.IsDir() {
			files++
		}
		return err
	})
	if err != nil || files != 1 {
		t.Errorf("%d files in the cache, want 1; %v", files, err)
	}
}

func TestDamagedCacheIsNoObstacle(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	start := func(spoil func(h *Host)) string {
		var logs logBuffer
		h, err := New(context.Background(), Config{CacheDir: dir, Logger: slog.New(slog.NewJSONHandler(&logs, nil))})
		if err != nil {
			t.Fatal(err)
		}
		spoil(h)
		if _, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: watFile(t, "pass")}); err != nil {
			t.Error(err)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
		return logs.buf.String()
	}
	if out := start(func(*Host) {}); out != "" {
		t.Errorf("logged %s", out)
	}
	files := func(change func(path string) error) {
		n := 0
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			n++
			return change(path)
		})
		if err != nil || n == 0 {
			t.Fatalf("%d files, %v", n, err)
		}
	}
	out := start(func(*Host) {
		files(func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 0xff // amid the machine code
			return os.WriteFile(path, data, 0o600)
		})
	})
	if !strings.Contains(out, "compiled without the cache") {
		t.Errorf("a damaged file: logged %q", out)
	}
	out = start(func(*Host) { // nothing can be written
		files(func(path string) error {
			parent := filepath.Dir(path)
			if err := os.RemoveAll(parent); err != nil {
				return err
			}
			if err := os.WriteFile(parent, nil, 0o600); err != nil {
				return err
			}
			return filepath.SkipAll
		})
	})
	if !strings.Contains(out, "compiled without the cache") {
		t.Errorf("no directory: logged %q", out)
	}
}

func TestCacheThatOthersCanWriteIsRefused(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inner := t.TempDir()
	if err := os.Chmod(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(inner, cacheName()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(inner, cacheName()), 0o720); err != nil {
		t.Fatal(err)
	}
	for dir, text := range map[string]string{open: "chmod 700", link: "symbolic link", file: "", inner: "chmod 700"} {
		if _, err := New(context.Background(), Config{CacheDir: dir}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", dir, err, text)
		}
	}
}

func TestSameModuleManyTimes(t *testing.T) {
	h := newHost(t, Config{})
	filters := make([]*Filter, 6)
	var wg sync.WaitGroup
	for i := range filters {
		wg.Go(func() {
			f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: watFile(t, "delta"), Limits: Limits{Memory: int64(1+i) << 20}})
			if err != nil {
				t.Error(err)
				return
			}
			filters[i] = f
		})
	}
	wg.Wait()
	// Closing one must not take the code of the others away.
	for i, f := range filters {
		in, err := f.Instance(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		env := small(ops(bodyOp("x")))
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, env, &d); err != nil || string(env.Body) != "x" {
			t.Errorf("filter %d: %v", i, err)
		}
		in.Close()
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// What the cache holds for a filter goes with the filter: a router that is
// reloaded with changed filters must not keep the code of all of them.
func TestCodeOfClosedFiltersIsFreed(t *testing.T) {
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "cache")} {
		h := newHost(t, Config{CacheDir: dir})
		compiled := func() (n int) {
			engines := reflect.ValueOf(h.cache).Elem().FieldByName("engs")
			for i := range engines.Len() {
				if e := engines.Index(i); !e.IsNil() {
					n += e.Elem().Elem().FieldByName("compiledModules").Len()
				}
			}
			return n
		}
		for range 2 {
			var open []*Filter
			for range 2 { // of the same module
				f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: watFile(t, "pass")})
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, f)
			}
			if compiled() == 0 {
				t.Error("nothing is compiled: the test looks at the wrong place")
			}
			for _, f := range open {
				if err := f.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}
			if n := compiled(); n != 0 {
				t.Errorf("cache %q: the code of %d modules is left", dir, n)
			}
		}
	}
}
