// Package compile compiles WebAssembly modules where one that is made to exhaust
// the compiler can do no harm: in a child process of the same binary, which has
// limits of its own, into a private directory. The process that runs filters
// only ever loads what is there.
//
// A program that compiles calls [Main] first of all, and gives [Self] to [New].
package compile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// verb as the first argument makes a process a compiler.
const verb = "wasm-compile"

// A compiler child works with this many processors.
const processors = 2

// Limits bound one compilation.
type Limits struct {
	Time   time.Duration // wall time, and processor time in full seconds
	Memory int64         // bytes, beyond those of a process that does nothing
}

// A ModuleError says what is wrong with a module that cannot be compiled within
// its limits. Its text may quote the module.
type ModuleError struct{ text string }

func (e *ModuleError) Error() string { return e.text }

func moduleError(format string, args ...any) error {
	return &ModuleError{fmt.Sprintf(format, args...)}
}

// features is what a filter may use of WebAssembly. Package meter vets all of it,
// and mends what wazero does wrong.
const features = api.CoreFeaturesV2 |
	experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExceptionHandling |
	experimental.CoreFeaturesExtendedConst

// RuntimeConfig is what code is compiled for: a runtime of another configuration
// would not find it, or worse, run it.
func RuntimeConfig() wazero.RuntimeConfig {
	return wazero.NewRuntimeConfigCompiler().WithCoreFeatures(features)
}

// called: this program's children will become compilers.
var called atomic.Bool

// Main makes the process a compiler and ends it, if it was started as one, and
// returns otherwise. Call it at the very start of main, and of TestMain.
func Main() {
	if len(os.Args) < 2 || os.Args[1] != verb {
		called.Store(true)
		return
	}
	if err := child(os.Stdin, os.Stdout, os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", verb, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Self returns the command that runs this program as a compiler. It fails in a
// program that has not called [Main], since its children would do what the
// program does instead.
func Self() ([]string, error) {
	if !called.Load() {
		return nil, errors.New("filters are compiled by a process of the same program: call compile.Main at the start of main, in tests of TestMain")
	}
	// The link leads to the program that runs, even when its file was replaced
	// by another version meanwhile.
	const self = "/proc/self/exe"
	if runtime.GOOS == "linux" {
		if _, err := os.Stat(self); err == nil {
			return []string{self, verb}, nil
		}
	}
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("filters are compiled by a process of the same program, whose file is unknown: %w", err)
	}
	return []string{path, verb}, nil
}

// into compiles a module into a directory that has no other module's code.
func into(ctx context.Context, dir string, module []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return &storeError{dir, err}
	}
	r := wazero.NewRuntimeWithConfig(ctx, RuntimeConfig().WithCompilationCache(cache))
	_, err = r.CompileModule(experimental.WithCompilationWorkers(ctx, processors), module)
	return errors.Join(err, r.Close(ctx), cache.Close(ctx))
}
