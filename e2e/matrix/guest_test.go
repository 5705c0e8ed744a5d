package matrix

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// troubleFilter builds testdata/trouble.c as filters/build.sh builds filters.
func troubleFilter(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	object, module := filepath.Join(dir, "f.o"), filepath.Join(dir, "f.wasm")
	for _, args := range [][]string{
		{
			"clang", "--target=wasm32", "-std=c11", "-O2", "-mbulk-memory", "-ffreestanding", "-Wall", "-Wextra", "-Werror",
			"-I", filepath.Join("..", "..", "filters", "sdk", "c"), "-c", filepath.Join("testdata", "trouble.c"), "-o", object,
		},
		{"wasm-ld", "--no-entry", "--strip-all", "--stack-first", "-z", "stack-size=32768", "-o", module, object},
	} {
		if text, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, text)
		}
	}
	wasm, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// beside writes a file into the folder of a configuration.
func beside(t *testing.T, config, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(config), name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}
