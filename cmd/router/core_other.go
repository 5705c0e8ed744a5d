//go:build !linux

package main

// noCore does nothing here: Go writes no core unless GOTRACEBACK=crash asks for
// one.
func noCore() {}
