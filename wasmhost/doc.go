// Package wasmhost runs filters: WebAssembly modules that speak the ABI of
// docs/ABI.md. A module is checked, metered, compiled once and instantiated
// once for each lane that uses it. Nothing a module does can harm the process
// or another filter: time, memory and output are bounded, there is no file,
// network or environment to reach, and an instance that failed is never used
// again.
package wasmhost
