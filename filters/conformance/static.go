package conformance

import (
	"errors"
	"fmt"
	"strings"
)

// stageType is the type of router_init and of the stages.
const stageType = "(i32 i32) -> (i64)"

// abiExports are the exports that mean something and their types; section 1.
var abiExports = map[string]string{
	"router_abi_1": "() -> ()", "router_buffer": "(i32) -> (i32)", "_initialize": "() -> ()",
	"router_init": stageType, "router_needs": "() -> (i64)", "router_needs_headers": "() -> (i64)",
	"router_decode": stageType, "router_unpack": stageType, "router_decide": stageType,
	"router_pack": stageType, "router_encode": stageType, "router_close": "() -> ()",
}

// abiImports are the functions that a module may import and their types;
// section 4.
var abiImports = map[string]string{
	"router.log": "(i32 i32 i32) -> ()", "router.log_enabled": "(i32) -> (i32)",
	"router.header_get": "(i32 i32 i32 i32) -> (i32)", "router.body_read": "(i32 i32 i32) -> (i32)",
	"router.time_ns": "() -> (i64)", "router.random": "(i32 i32) -> ()",
	"router.metric_def": "(i32 i32 i32) -> (i32)", "router.metric_add": "(i32 i64) -> ()",
	"router.metric_obs": "(i32 f64) -> ()",
	"router.kv_get":     "(i32 i32 i32 i32) -> (i32)", "router.kv_set": "(i32 i32 i32 i32 i64) -> (i32)",
	"router.kv_swap": "(i32 i32 i32 i32 i32 i32 i64) -> (i32)", "router.kv_add": "(i32 i32 i64 i64) -> (i64)",
	"router.kv_delete": "(i32 i32) -> (i32)",
	"env.abort":        "(i32 i32 i32 i32) -> ()",

	"wasi_snapshot_preview1.fd_write":            "(i32 i32 i32 i32) -> (i32)",
	"wasi_snapshot_preview1.clock_time_get":      "(i32 i64 i32) -> (i32)",
	"wasi_snapshot_preview1.random_get":          "(i32 i32) -> (i32)",
	"wasi_snapshot_preview1.args_get":            "(i32 i32) -> (i32)",
	"wasi_snapshot_preview1.args_sizes_get":      "(i32 i32) -> (i32)",
	"wasi_snapshot_preview1.environ_get":         "(i32 i32) -> (i32)",
	"wasi_snapshot_preview1.environ_sizes_get":   "(i32 i32) -> (i32)",
	"wasi_snapshot_preview1.poll_oneoff":         "(i32 i32 i32 i32) -> (i32)",
	"wasi_snapshot_preview1.proc_exit":           "(i32) -> ()",
	"wasi_snapshot_preview1.sched_yield":         "() -> (i32)",
	"wasi_snapshot_preview1.fd_close":            "(i32) -> (i32)",
	"wasi_snapshot_preview1.fd_fdstat_get":       "(i32 i32) -> (i32)",
	"wasi_snapshot_preview1.fd_fdstat_set_flags": "(i32 i32) -> (i32)",
	"wasi_snapshot_preview1.fd_prestat_get":      "(i32 i32) -> (i32)",
	"wasi_snapshot_preview1.fd_prestat_dir_name": "(i32 i32 i32) -> (i32)",
	"wasi_snapshot_preview1.fd_seek":             "(i32 i64 i32 i32) -> (i32)",
}

// checkMemory: exactly one memory, the module's own, exported by its name.
func checkMemory(m *module) error {
	switch e, ok := m.export("memory"); {
	case m.foreign > 0:
		return errors.New("the memory is imported; let the module define it (wasm-ld without --import-memory)")
	case len(m.memories) != 1:
		return fmt.Errorf("it has %d memories; exactly one is allowed", len(m.memories))
	case m.memories[0].shared || m.memories[0].long:
		return errors.New("the memory is shared or has 64-bit addresses; build without threads, for wasm32")
	case !ok || e.kind != kindMemory:
		return errors.New(`the memory is not exported as "memory"`)
	}
	return nil
}

// checkMarker: the export that says which ABI the module speaks.
func checkMarker(m *module) error {
	if _, ok := m.export("router_abi_1"); ok {
		return nil
	}
	for _, e := range m.exports {
		if strings.HasPrefix(e.name, "router_abi_") {
			return fmt.Errorf("it exports %s, the marker of another ABI; build it with an SDK of ABI 1", short(e.name))
		}
	}
	return errors.New("export a function router_abi_1 without parameters and results")
}

// checkExports: what the router calls is there and has the right type.
func checkExports(m *module) error {
	if _, ok := m.export("_start"); ok {
		return errors.New("it exports _start, so it is a command; build a reactor (Go: -buildmode=c-shared, C: -mexec-model=reactor, Rust: --crate-type cdylib)")
	}
	var errs []string
	for _, e := range m.exports {
		want, ok := abiExports[e.name]
		if !ok {
			continue
		}
		if e.kind != kindFunc {
			errs = append(errs, e.name+" is no function")
		} else if e.typ != want {
			errs = append(errs, fmt.Sprintf("%s has the type %s; it must be %s", e.name, e.typ, want))
		}
	}
	if _, ok := m.export("router_buffer"); !ok {
		errs = append(errs, "export router_buffer, which gives the router room for a message")
	}
	if len(m.stages()) == 0 {
		errs = append(errs, "export at least one of router_decode, router_unpack, router_decide, router_pack and router_encode")
	}
	if errs != nil {
		return errors.New(strings.Join(errs, "; "))
	}
	return nil
}

// checkImports: nothing that a host need not have.
func checkImports(m *module) error {
	var errs []string
	for _, i := range m.imports {
		if i.kind == kindMemory {
			continue // module.memory says so
		}
		name := i.module + "." + i.name
		switch want, ok := abiImports[name]; {
		case !ok || i.kind != kindFunc:
			errs = append(errs, "no host has "+short(name))
		case want != i.typ:
			errs = append(errs, fmt.Sprintf("%s has the type %s; it must be %s", name, i.typ, want))
		}
	}
	if errs != nil {
		return errors.New(strings.Join(errs, "; "))
	}
	return nil
}

// stages returns the stages that the module takes part in.
func (m *module) stages() []Stage {
	var stages []Stage
	for s := range Stage(len(stageNames)) {
		if _, ok := m.export(s.Export()); ok {
			stages = append(stages, s)
		}
	}
	return stages
}
