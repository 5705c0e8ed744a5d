package main

import (
	"os"
	"syscall"
)

// noCore keeps a crash from writing passwords and messages to a file. Whoever
// sets GOTRACEBACK=crash asks for exactly that, and gets it.
func noCore() {
	var l syscall.Rlimit
	if os.Getenv("GOTRACEBACK") == "crash" || syscall.Getrlimit(syscall.RLIMIT_CORE, &l) != nil {
		return
	}
	// The kernel hands a core to a program that collects them whatever the limit
	// is, but for 1; and no core is as small as that.
	l.Cur = min(l.Max, 1)
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &l) // lowering it is always allowed
}
