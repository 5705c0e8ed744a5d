package conformance_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wasmrouter/router/filters/conformance"
	"github.com/wasmrouter/router/wasmhost"
	"github.com/wasmrouter/router/wasmhost/compile"
)

// host runs every module of this package's tests; each is compiled once. A test
// machine may be busy; what stops a runaway is not tested here.
var (
	host   *wasmhost.Host
	limits = wasmhost.Limits{Time: 10 * time.Second, StartTime: time.Minute}
	engine conformance.Engine
)

func TestMain(m *testing.M) {
	compile.Main()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "conformance")
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
	engine = host.Engine(limits)
	code := m.Run()
	if err := host.Close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// built builds a module with a shell command that writes to $OUT.
func built(t testing.TB, command string) []byte {
	t.Helper()
	sources(t)
	out := filepath.Join(t.TempDir(), "f.wasm")
	cmd := exec.Command("sh", "-ec", command)
	cmd.Env = append(os.Environ(), "OUT="+out)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, b)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// sources reads what filters are built from. go test keeps the result of a test
// until a file changes that the test itself has read.
func sources(t testing.TB) {
	t.Helper()
	for _, root := range []string{"guest", "../sdk"} {
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
