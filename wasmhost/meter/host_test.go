package meter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errSpent = errors.New("spent")

// host is a runtime that plays the part of the router: it refills the credit in
// slices and panics with errSpent when the budget is used up.
type host struct {
	runtime wazero.Runtime
	slice   int64
	budget  int64 // left to hand out
	given   int64
	yields  int

	exceptions int // calls on account of them
}

// features are those that the package accepts.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExceptionHandling | experimental.CoreFeaturesExtendedConst

func newHost(t testing.TB) *host { return newHostOf(t, wazero.NewRuntimeConfigCompiler()) }

// newInterpreter is for modules as they are: it is slow, and right where the
// compiler is not.
func newInterpreter(t testing.TB) *host { return newHostOf(t, wazero.NewRuntimeConfigInterpreter()) }

func newHostOf(t testing.TB, config wazero.RuntimeConfig) *host {
	t.Helper()
	ctx := context.Background()
	h := &host{slice: 1 << 14, budget: 1 << 40}
	h.runtime = wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(features))
	t.Cleanup(func() {
		if err := h.runtime.Close(ctx); err != nil {
			t.Errorf("closing the runtime: %v", err)
		}
	})
	_, err := h.runtime.NewHostModuleBuilder(FuelModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(h.refill), nil, nil).Export(FuelFunction).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	add := func(_ context.Context, stack []uint64) {
		stack[0] = uint64(api.DecodeU32(stack[0]) + api.DecodeU32(stack[1]))
	}
	i32 := api.ValueTypeI32
	_, err = h.runtime.NewHostModuleBuilder("host").NewFunctionBuilder().
		WithGoFunction(api.GoFunc(add), []api.ValueType{i32, i32}, []api.ValueType{i32}).Export("add").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) refill(_ context.Context, mod api.Module, _ []uint64) {
	h.yields++
	credit := mod.ExportedGlobal(FuelGlobal).(api.MutableGlobal)
	if int64(credit.Get()) >= 0 {
		h.exceptions++
		return
	}
	h.topUp(credit, int64(credit.Get()))
}

func (h *host) topUp(credit api.MutableGlobal, left int64) {
	give := min(h.slice, h.budget)
	h.budget -= give
	h.given += give
	if give <= 0 || left+give < 0 && h.budget <= 0 {
		panic(errSpent)
	}
	credit.Set(uint64(left + give))
}

// instance is one instance of a module, metered or not.
type instance struct {
	api.Module
	host *host
}

func (h *host) instantiate(t testing.TB, wasm []byte) instance {
	t.Helper()
	in, err := h.tryInstantiate(wasm)
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	t.Cleanup(func() { _ = in.Close(context.Background()) })
	return in
}

func (h *host) tryInstantiate(wasm []byte) (instance, error) {
	mod, err := h.runtime.InstantiateWithConfig(context.Background(), wasm,
		wazero.NewModuleConfig().WithName("").WithStartFunctions(StartFunction, "_initialize"))
	return instance{mod, h}, err
}

// outcome is what a call did, in a form that two runs can be compared by.
type outcome struct {
	Results []uint64
	Err     string
}

func (in instance) call(name string, args ...uint64) outcome {
	return in.callIn(context.Background(), name, args...)
}

// callIn ends with the context, for a host whose runtime asks for it.
func (in instance) callIn(ctx context.Context, name string, args ...uint64) outcome {
	f := in.ExportedFunction(name)
	if f == nil {
		return outcome{Err: "no function " + name}
	}
	results, err := f.Call(ctx, args...)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return outcome{Err: first}
	}
	if len(results) == 0 {
		return outcome{}
	}
	return outcome{Results: results}
}

func (in instance) global(name string) uint64 { return in.ExportedGlobal(name).Get() }

// used returns the units spent so far.
func (in instance) used() int64 {
	return in.host.given - int64(in.ExportedGlobal(FuelGlobal).Get())
}

func mustInstrument(t testing.TB, wasm []byte, limits Limits) *Module {
	t.Helper()
	m, err := Instrument(wasm, limits)
	if err != nil {
		t.Fatalf("Instrument: %v", err)
	}
	return m
}

// wat builds a file of testdata.
func wat(t testing.TB, name string) []byte {
	t.Helper()
	return build(t, "wat2wasm", "--debug-names", filepath.Join("testdata", name+".wat"), "-o")
}

// watText builds a module from its text.
func watText(t testing.TB, text string, flags ...string) []byte {
	t.Helper()
	src := filepath.Join(t.TempDir(), "m.wat")
	if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return build(t, append(append([]string{"wat2wasm"}, flags...), src, "-o")...)
}

// build runs a command with the name of an output file as its last argument.
func build(t testing.TB, command ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.wasm")
	cmd := exec.Command(command[0], append(command[1:], out)...) //nolint:gosec // the tests' own commands
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// invoke is one call of a differential test.
type invoke struct {
	name string
	args []uint64
}

func calls(list ...string) []invoke {
	var out []invoke
	for _, line := range list {
		fields := strings.Fields(line)
		in := invoke{name: fields[0]}
		for _, f := range fields[1:] {
			var v int64
			if _, err := fmt.Sscan(f, &v); err != nil {
				panic(err)
			}
			in.args = append(in.args, uint64(v))
		}
		out = append(out, in)
	}
	return out
}
