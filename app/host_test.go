package app_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/config"
)

// Without a cache directory filters are compiled at each start, with a word
// about it, and nothing is left.
func TestHostWithoutCacheDirectory(t *testing.T) {
	notDir := filepath.Join(t.TempDir(), "file")
	write(t, notDir, "")
	for name, cacheHome := range map[string]string{"no home": "", "not to be written": notDir} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", "")
			t.Setenv("XDG_CACHE_HOME", cacheHome)
			t.Setenv("TMPDIR", t.TempDir())
			logs := new(log)
			host, err := app.NewHost(t.Context(), "", slog.New(slog.NewTextHandler(logs, nil)))
			if err != nil {
				t.Fatal(err)
			}
			module, _, err := app.BuiltIn("stock:content-router")
			if err != nil {
				t.Fatal(err)
			}
			table := config.Default().Filter
			table.Config = map[string]any{"field": "body:type", "routes": map[string]any{"x": "queue:x"}}
			for range 2 {
				if _, err := host.Load(t.Context(), app.FilterConfig("f", table, module)); err != nil {
					t.Error(err)
				}
			}
			if err := host.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if lines := strings.Split(strings.TrimSpace(logs.String()), "\n"); len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "set process.cache_dir") {
				t.Errorf("logged %q, want one warning", lines)
			}
			if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

// A limit that is not handed over would keep its default whatever the
// configuration says.
func TestEveryLimitIsHandedOver(t *testing.T) {
	limits := app.FilterConfig("f", config.Default().Filter, nil).Limits
	for field, value := range reflect.ValueOf(limits).Fields() {
		if value.IsZero() {
			t.Errorf("%s is not", field.Name)
		}
	}
}
