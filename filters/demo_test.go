package filters_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// The demo's filters must misbehave, and be stopped.
func TestDemoFiltersAreStopped(t *testing.T) {
	for _, name := range filters.List() {
		if strings.HasPrefix(name, "demo:") {
			t.Run(name, func(t *testing.T) { runDemo(t, name, stock(t, name)) })
		}
	}
}

func runDemo(t *testing.T, name string, module []byte) {
	want := map[string]string{
		"demo:loop":   wasmhost.ClassDeadline,
		"demo:trap":   wasmhost.ClassTrap,
		"demo:hungry": wasmhost.ClassMemory,
		"demo:deep":   wasmhost.ClassTrap,
	}[name]
	ctx := context.Background()
	limits := wasmhost.Limits{Time: time.Minute, StartTime: time.Minute}
	if name == "demo:loop" {
		limits.Time = 200 * time.Millisecond
	}
	f, err := host.Load(ctx, wasmhost.FilterConfig{Name: name, Module: module, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(ctx)
	in, err := f.Instance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	// Twice: the instance that was stopped is replaced.
	for range 2 {
		env := router.NewEnvelope(map[string]any{"k": "v"}, make([]byte, 100<<10))
		var d router.Decision
		err := in.Run(ctx, router.Decide, &env, &d)
		var fe *router.FilterError
		if !errors.As(err, &fe) {
			t.Fatalf("decide: %v; a *router.FilterError is expected", err)
		}
		if fe.Class != want {
			t.Errorf("class %s; want %s: %v", fe.Class, want, err)
		}
	}
}
