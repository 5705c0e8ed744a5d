package wasmhost

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost/compile"
)

// buildDir holds the guests that the tests build, each once.
var buildDir string

func TestMain(m *testing.M) {
	compile.Main()
	dir, err := os.MkdirTemp("", "guests")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var builds sync.Map // name to func() ([]byte, error)

// built returns the module that build makes, made once.
func built(t testing.TB, name string, build func(out string) error) []byte {
	t.Helper()
	once, _ := builds.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) {
		out := filepath.Join(buildDir, strings.NewReplacer("/", "_", ".", "_").Replace(name)+".wasm")
		if err := build(out); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	}))
	module, err := once.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func tool(dir string, env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// watFile builds testdata/NAME.wat, with the prelude in place of its mark.
func watFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".wat")
	if err != nil {
		t.Fatal(err)
	}
	return wat(t, string(text))
}

// wat builds a module from text.
func wat(t testing.TB, text string) []byte {
	t.Helper()
	prelude, err := os.ReadFile("testdata/prelude.wat")
	if err != nil {
		t.Fatal(err)
	}
	text = strings.Replace(text, ";; PRELUDE", string(prelude), 1)
	name := fmt.Sprintf("wat%x", sha256.Sum256([]byte(text)))
	return built(t, name, func(out string) error {
		src := out + ".wat"
		if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
			return err
		}
		return tool("", nil, "wat2wasm", src, "-o", out)
	})
}

// cGuest builds testdata/NAME.c. Compiler and linker are called apart: as one
// command, clang runs whatever wasm-opt it finds.
func cGuest(t testing.TB, name string) []byte {
	t.Helper()
	return built(t, name+".c", func(out string) error {
		err := tool("testdata", nil, "clang", "--target=wasm32", "-O2", "-mbulk-memory", "-ffreestanding", "-fno-builtin", "-Wall", "-Werror", "-c", name+".c", "-o", out+".o")
		if err != nil {
			return err
		}
		return tool("", nil, "wasm-ld", "--no-entry", "--strip-all", "-z", "stack-size=16384", "-o", out, out+".o")
	})
}

// goGuest builds testdata/gofilter.
func goGuest(t testing.TB) []byte {
	t.Helper()
	return built(t, "gofilter", func(out string) error {
		return tool("testdata/gofilter", []string{"GOOS=wasip1", "GOARCH=wasm", "GOFLAGS="}, "go", "build",
			"-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, "main.go")
	})
}

// newHost returns a host that is closed, and checked, at the test's end.
func newHost(t testing.TB, cfg Config) *Host {
	t.Helper()
	h, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

// load loads a filter and makes one instance of it. The filter never rests,
// however often it fails.
func load(t testing.TB, cfg FilterConfig) (*Filter, router.Filter) {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "test"
	}
	f, err := newHost(t, Config{}).Load(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	neverRests(f)
	in, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return f, in
}

// neverRests lets a filter fail as often as it likes.
func neverRests(f *Filter) {
	f.supply.gate.mu.Lock()
	defer f.supply.gate.mu.Unlock()
	f.supply.gate.free = 1 << 30
}

// discards is how many instances a filter lost to failures of any class.
func discards(f *Filter) (n uint64) {
	for _, of := range f.Stat().Discarded {
		n += of
	}
	return n
}

// message is an envelope like those that a broker delivers.
func message(body string) *router.Envelope {
	env := router.NewEnvelope(map[string]any{
		"tenant": "acme", "type": "order.created", "priority": int32(7),
		"trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "region": "eu-west-1",
		"attempt": int64(1), "sampled": true, "source": "shop", "version": "2.1", "user": "u-1234567",
		"session": "s-0123456789abcdef", "weight": 0.5,
	}, []byte(body))
	env.Origin = router.Origin{Queue: "orders.in", Exchange: "orders", RoutingKey: "order.created", Received: time.Unix(1700000000, 5)}
	env.MessageID = "3f2a9c1e-7d44-4a43-9d52-0f6b1c2d3e4f"
	env.ContentType = "application/json"
	env.CorrelationID = "corr-1"
	return &env
}
