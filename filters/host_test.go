package filters_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
	"github.com/wasmrouter/router/wasmhost/compile"
)

// host runs every module of this package's tests, bench their golden cases; each
// is compiled once.
var (
	host  *wasmhost.Host
	bench *workbench.Workbench
)

func TestMain(m *testing.M) {
	compile.Main()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "filters")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	self, err := compile.Self()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if host, err = wasmhost.New(ctx, wasmhost.Config{Compiler: self, CacheDir: dir}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if bench, err = workbench.New(ctx, workbench.Config{CacheDir: dir}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := errors.Join(host.Close(ctx), bench.Close(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// loadFilter returns one instance of a module that is closed with the test.
func loadFilter(t testing.TB, name string, module []byte, config map[string]any) (router.Filter, error) {
	t.Helper()
	ctx := context.Background()
	f, err := host.Load(ctx, wasmhost.FilterConfig{
		Name: name, Module: module, Config: config, Grants: wasmhost.Grants{KV: true},
		// A test machine may be busy; what stops a runaway is not tested here.
		Limits: wasmhost.Limits{Time: 10 * time.Second, StartTime: time.Minute},
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	in, err := f.Instance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in, nil
}
