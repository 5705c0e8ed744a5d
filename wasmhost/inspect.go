package wasmhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost/meter"
)

// ABI is the version of the filter ABI that this package speaks.
const ABI = 1

// Info is what a module says about itself without being run.
type Info struct {
	SHA256 string // hexadecimal, of the bytes as given
	Size   int    // bytes
	Stages router.StageSet

	Imports []string // "module.name", sorted
	Grants  []string // the grants that its imports need, sorted

	MemoryMin, MemoryMax int64 // bytes; the maximum is at most the limit
	Functions            int   // defined, without imports
}

// Inspect checks a module without compiling or running it: its structure, its
// exports and its imports. The error wraps [ErrModule] and names everything
// that is wrong and how to mend it; Info then holds what could be read. That a
// module needs a grant is no error here.
func Inspect(module []byte, limits Limits) (Info, error) {
	limits = limits.withDefaults()
	if err := limits.validate(); err != nil {
		return Info{}, err
	}
	info, _, err := inspect(module, limits)
	return info, err
}

func inspect(module []byte, limits Limits) (Info, *meter.Module, error) {
	sum := sha256.Sum256(module)
	info := Info{SHA256: hex.EncodeToString(sum[:]), Size: len(module)}
	if int64(len(module)) > limits.ModuleSize {
		return info, nil, fmt.Errorf("%w: it has %d bytes, and limits.module_size allows %d; raise it or strip the module", ErrModule, len(module), limits.ModuleSize)
	}
	if err := notAModule(module); err != nil {
		return info, nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	m, err := meter.Instrument(module, meter.Limits{
		ModuleSize:  int(limits.ModuleSize),
		MemoryPages: int(limits.Memory / pageSize),

		TableElements: limits.Table,
		CompileTime:   limits.CompileTime,
	})
	if err != nil {
		return info, nil, fmt.Errorf("%w: %w", ErrModule, inOurWords(err))
	}
	info.Functions = m.Functions
	info.MemoryMin, info.MemoryMax = int64(m.MemoryMinPages)*pageSize, int64(m.MemoryMaxPages)*pageSize
	for _, i := range m.Imports {
		info.Imports = append(info.Imports, i.Module+"."+i.Name)
		if f, ok := findHostFunc(i.Module, i.Name); ok && f.grant != "" && !slices.Contains(info.Grants, f.grant) {
			info.Grants = append(info.Grants, f.grant)
		}
	}
	slices.Sort(info.Imports)
	slices.Sort(info.Grants)
	for s := range router.NumStages {
		if _, ok := findExport(m, handlerName(router.Stage(s))); ok {
			info.Stages = info.Stages.With(router.Stage(s))
		}
	}
	if err := errors.Join(checkExports(m, info.Stages), checkImports(m)); err != nil {
		return info, m, fmt.Errorf("%w: %s", ErrModule, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return info, m, nil
}

// ourLimits are the names of the limits that a configuration can raise.
var ourLimits = strings.NewReplacer(
	"the limit ModuleSize", "limits.module_size",
	"the limit MemoryPages", "limits.memory",
	"the limit TableElements", "limits.table",
	"the limit CompileTime", "limits.compile_time",
)

// inOurWords lets the meter's advice name the limits of a filter, and gives some
// where there is none.
func inOurWords(err error) error {
	if e, ok := errors.AsType[*meter.Error](err); ok {
		own := *e
		own.Advice = ourLimits.Replace(e.Advice)
		if own.Advice == "" && errors.Is(err, meter.ErrMalformed) {
			own.Advice = "the file is damaged or cut short: build or copy it again"
		}
		return &own
	}
	return err
}

// signature is the type of an export of the ABI.
type signature struct {
	params, results []api.ValueType
}

var (
	nothing = signature{}
	handler = signature{types(i32, i32), types(i64)}
)

var abiExports = map[string]signature{
	"_initialize":          nothing,
	"router_abi_1":         nothing,
	"router_buffer":        {types(i32), types(i32)},
	"router_init":          handler,
	"router_needs":         {nil, types(i64)},
	"router_needs_headers": {nil, types(i64)},
	"router_close":         nothing,
	"router_decode":        handler,
	"router_unpack":        handler,
	"router_decide":        handler,
	"router_pack":          handler,
	"router_encode":        handler,
}

// checkExports reports what a module must export and does not. What makes all the
// rest follow is reported alone.
func checkExports(m *meter.Module, stages router.StageSet) error {
	if _, ok := findExport(m, "_start"); ok {
		return errors.New("it is a command, which runs once (it exports _start), and a filter is a reactor; build Go with -buildmode=c-shared, C with -mexec-model=reactor, Rust with --crate-type cdylib")
	}
	if _, ok := findExport(m, "router_abi_1"); !ok {
		return withoutMarker(m, stages)
	}
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if stages == 0 {
		add("it exports no stage; export router_decode, router_unpack, router_decide, router_pack or router_encode")
	}
	if _, ok := findExport(m, "router_buffer"); !ok {
		add("it does not export router_buffer, which gives the router room for a message; the SDKs do: export router_buffer(i32) -> i32")
	}
	switch e, ok := findExport(m, "memory"); {
	case !ok:
		add(`it does not export its memory; export it as "memory"`)
	case e.Kind != meter.KindMemory:
		add(`its export "memory" is a %s; export the memory under this name`, e.Kind)
	}
	for _, e := range m.Exports {
		want, ok := abiExports[e.Name]
		switch {
		case !ok:
		case e.Kind != meter.KindFunction:
			add("its export %s is a %s; export a function %s under this name", e.Name, e.Kind, typeText(want.params, want.results))
		case !sameTypes(e.Params, want.params) || !sameTypes(e.Results, want.results):
			add("its export %s has the type %s; declare it as %s", e.Name, typeText(e.Params, e.Results), typeText(want.params, want.results))
		}
	}
	return errors.Join(errs...)
}

// withoutMarker says what a module without the marker of this ABI is.
func withoutMarker(m *meter.Module, stages router.StageSet) error {
	for _, e := range m.Exports {
		other, ok := strings.CutPrefix(e.Name, "router_abi_")
		switch version, err := strconv.Atoi(other); {
		case !ok:
		case err == nil && version > ABI:
			return fmt.Errorf("it speaks filter ABI %d and this router ABI %d; update the router, or build the filter with an SDK of ABI %d", version, ABI, ABI)
		default:
			return fmt.Errorf("it exports %s, and this router speaks filter ABI %d; build the filter with an SDK of ABI %d", cutText(e.Name, 32), ABI, ABI)
		}
	}
	if stages == 0 {
		return errors.New("it is a module of something else: it exports neither router_abi_1, the marker of filters, nor a stage; write filters with an SDK (`router filter new`)")
	}
	return errors.New("it does not export router_abi_1, the marker of filters; the SDKs do: export router_abi_1() -> ()")
}

// checkImports reports every import that the host does not provide.
func checkImports(m *meter.Module) error {
	var missing []string
	var errs []error
	for _, i := range m.Imports {
		name := cutText(i.Module, 64) + "." + cutText(i.Name, 64)
		f, ok := findHostFunc(i.Module, i.Name)
		switch {
		case i.Kind != meter.KindFunction:
			errs = append(errs, fmt.Errorf("it imports the %s %s; a filter may import functions only", i.Kind, name))
		case !ok:
			missing = append(missing, name)
		case !sameTypes(i.Params, f.params) || !sameTypes(i.Results, f.results):
			errs = append(errs, fmt.Errorf("it imports %s with the type %s; declare it as %s", name, typeText(i.Params, i.Results), typeText(f.params, f.results)))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		errs = append(errs, fmt.Errorf("it imports what no filter can have: %s; %s", strings.Join(missing, ", "), without(missing)))
	}
	return errors.Join(errs...)
}

// without says how to do without imports.
func without(names []string) string {
	for _, name := range names {
		module, _, _ := strings.Cut(name, ".")
		switch {
		case module == "env":
			return "nothing defines it: link what does, or take out what calls it"
		case module == "router":
			return "this router does not have it: update the router, or take out what calls it"
		case strings.HasPrefix(module, "__wbindgen") || module == "wbg":
			return "build without wasm-bindgen"
		case strings.HasPrefix(module, "wasi:") || strings.HasPrefix(module, "wasi_unstable"):
			return "build for wasip1, or better for wasm32-unknown-unknown"
		case module == "wasi_snapshot_preview1":
			return "take out what calls it: filters have no files, no network and no environment"
		}
	}
	return "take out what calls it; docs/ABI.md lists what there is"
}

// checkGrants reports every import whose grant is missing.
func checkGrants(m *meter.Module, grants Grants) error {
	var lacking, settings []string
	for _, i := range m.Imports {
		f, ok := findHostFunc(i.Module, i.Name)
		if !ok || f.grant == "" || grants.has(f.grant) {
			continue
		}
		lacking = append(lacking, i.Module+"."+i.Name)
		if set := f.grant + " = true"; !slices.Contains(settings, set) {
			settings = append(settings, set)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return fmt.Errorf("%w: it imports %s; set %s under the filter's grants", ErrGrant, strings.Join(lacking, ", "), strings.Join(settings, " and "))
}

// has reports whether the grant that a host function names is given.
func (g Grants) has(grant string) bool {
	switch grant {
	case "metrics":
		return g.Metrics
	case "kv":
		return g.KV
	}
	return false
}

func findHostFunc(module, name string) (hostFunc, bool) {
	for _, f := range hostModules[module] {
		if f.name == name {
			return f, true
		}
	}
	return hostFunc{}, false
}

func findExport(m *meter.Module, name string) (meter.Export, bool) {
	for _, e := range m.Exports {
		if e.Name == name {
			return e, true
		}
	}
	return meter.Export{}, false
}

func sameTypes(have []meter.ValueType, want []api.ValueType) bool {
	return slices.EqualFunc(have, want, func(a meter.ValueType, b api.ValueType) bool { return byte(a) == b })
}

func typeText[T ~byte](params, results []T) string {
	list := func(ts []T) string {
		names := make([]string, len(ts))
		for i, t := range ts {
			names[i] = meter.ValueType(t).String()
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return list(params) + " -> " + list(results)
}
