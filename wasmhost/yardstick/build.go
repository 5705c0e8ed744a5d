package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/wasmrouter/router/app/workbench"
)

// root is the repository's, seen from this directory.
const root = "../.."

// buildGuest builds the filter that `router filter new` writes.
func buildGuest(ctx context.Context, lang string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "yardstick")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if _, err := workbench.Scaffold(lang, "guest", filepath.Join(dir, "guest")); err != nil {
		return nil, err
	}
	built, err := workbench.Build(ctx, filepath.Join(dir, "guest"), workbench.BuildOptions{Messages: os.Stderr})
	if err != nil {
		return nil, err
	}
	return os.ReadFile(built.Module)
}

// buildPlugin builds the Extism plugin.
func buildPlugin(ctx context.Context) ([]byte, error) { return buildC(ctx, "testdata/plugin.c") }

func buildC(ctx context.Context, source string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "yardstick")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	object, module := filepath.Join(dir, "f.o"), filepath.Join(dir, "f.wasm")
	for _, args := range [][]string{
		{"clang", "--target=wasm32", "-std=c11", "-O2", "-mbulk-memory", "-msign-ext", "-ffreestanding", "-I", root + "/filters/sdk/c", "-c", source, "-o", object},
		{"wasm-ld", "--no-entry", "--strip-all", "--stack-first", "-z", "stack-size=32768", "-o", module, object},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	return os.ReadFile(module)
}
