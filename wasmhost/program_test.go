package wasmhost

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost/compile"
)

// configs are the ways to compile: here, into a temporary directory, and into
// one that stays.
func configs(t testing.TB) map[string]Config {
	t.Helper()
	self, err := compile.Self()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Config{
		"here":      {},
		"temporary": {Compiler: self},
		"kept":      {Compiler: self, CacheDir: filepath.Join(t.TempDir(), "cache")},
	}
}

func TestSameModuleManyTimes(t *testing.T) {
	for name, cfg := range configs(t) {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, cfg)
			filters := make([]*Filter, 6)
			var wg sync.WaitGroup
			for i := range filters {
				wg.Go(func() {
					f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: watFile(t, "delta"), Limits: Limits{Memory: int64(1+i/2) << 20}})
					if err != nil {
						t.Error(err)
						return
					}
					filters[i] = f
				})
			}
			wg.Wait()
			if t.Failed() {
				return
			}
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
		})
	}
}

// Several filters of one module that is read from the disk: none may have code
// that another has not finished reading.
func TestSameModuleFromDisk(t *testing.T) {
	cfg := configs(t)["kept"]
	module := watFile(t, "pass")
	for range 30 {
		h := newHost(t, cfg)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				<-start
				if _, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: module}); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// What is in memory for a filter goes with the filter: a router that is reloaded
// with changed filters must not keep the code of all of them.
func TestCodeOfClosedFiltersIsFreed(t *testing.T) {
	for name, cfg := range configs(t) {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, cfg)
			for range 2 {
				var open []*Filter
				for range 2 { // of the same module
					f, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: watFile(t, "pass")})
					if err != nil {
						t.Fatal(err)
					}
					open = append(open, f)
				}
				var caches []wazero.CompilationCache
				for _, c := range h.codes {
					caches = append(caches, c.cache)
				}
				if len(caches) != 1 {
					t.Fatalf("%d filters of one module have %d codes", len(open), len(caches))
				}
				if compiled(caches[0]) == 0 {
					t.Error("nothing is compiled: the test looks at the wrong place")
				}
				for _, f := range open {
					if err := f.Close(context.Background()); err != nil {
						t.Error(err)
					}
				}
				if len(h.codes) != 0 || compiled(caches[0]) != 0 {
					t.Errorf("%d codes, %d modules are left", len(h.codes), compiled(caches[0]))
				}
			}
		})
	}
}

// compiled returns how many modules a cache has in memory.
func compiled(cache wazero.CompilationCache) (n int) {
	engines := reflect.ValueOf(cache).Elem().FieldByName("engs")
	for i := range engines.Len() {
		if e := engines.Index(i); !e.IsNil() {
			n += e.Elem().Elem().FieldByName("compiledModules").Len()
		}
	}
	return n
}

// vetted returns a metered module and limits that the compiler breaks.
func vetted(t *testing.T, module []byte, compileTime time.Duration) ([]byte, Limits) {
	t.Helper()
	limits := Limits{}.withDefaults()
	_, m, err := inspect(module, limits)
	if err != nil {
		t.Fatal(err)
	}
	limits.CompileTime = compileTime
	return m.Bytes, limits
}

func TestCompileTimeHere(t *testing.T) {
	h := newHost(t, Config{})
	module, limits := vetted(t, watFile(t, "pass"), time.Nanosecond)
	if _, err := h.compile(context.Background(), module, limits); !errors.Is(err, ErrModule) || !strings.Contains(err.Error(), "limits.compile_time (1ns)") {
		t.Error(err)
	}
}

func TestCompileTimeInAProcess(t *testing.T) {
	h := newHost(t, configs(t)["temporary"])
	module, limits := vetted(t, goGuest(t), 50*time.Millisecond)
	_, err := h.compile(context.Background(), module, limits)
	want := "unusable module: compiling takes longer than limits.compile_time (50ms); raise it, or split the module's largest functions"
	if !errors.Is(err, ErrModule) || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestWordsOfACompiler(t *testing.T) {
	sh := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	for _, c := range []struct {
		compiler     []string
		text         string
		modulesFault bool
	}{
		// Text that the module has a part in cannot forge lines or colours.
		{sh(`printf 'module "no \\x1b[31m\\u2028 good\\n"'`), `no \x1b[31m\u2028 good\x0a`, true},
		{sh(`printf 'panic: no \033[31m good' >&2; exit 2`), `crashed: panic: no \x1b[31m good`, true},
		{[]string{"/there/is/none"}, "allow the router to start one", false},
	} {
		h := newHost(t, Config{Compiler: c.compiler})
		_, err := h.Load(context.Background(), FilterConfig{Name: "test", Module: watFile(t, "pass")})
		if err == nil || !strings.Contains(err.Error(), c.text) || errors.Is(err, ErrModule) != c.modulesFault {
			t.Errorf("%v, want %s", err, c.text)
		}
	}
}

func TestCloseEndsCompiling(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	h := newHost(t, Config{Compiler: []string{"/bin/sh", "-c", "echo > " + started + "; exec sleep 600"}})
	loading := make(chan error, 1)
	go func() {
		_, err := h.Load(context.Background(), FilterConfig{Module: watFile(t, "pass"), Limits: Limits{CompileTime: 10 * time.Minute}})
		loading <- err
	}()
	for { // the test's own timeout ends what never starts
		if found, _ := filepath.Glob(started); len(found) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := h.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-loading; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestCacheNeedsACompiler(t *testing.T) {
	if _, err := New(context.Background(), Config{CacheDir: t.TempDir()}); err == nil {
		t.Error("a directory that nothing is kept in")
	}
}
