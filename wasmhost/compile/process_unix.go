//go:build unix

package compile

import (
	"os"
	"os/signal"
	"syscall"
)

// processorTime tells when this process has used its processor time up. It is
// killed a second later.
func processorTime() <-chan os.Signal {
	up := make(chan os.Signal, 1)
	signal.Notify(up, syscall.SIGXCPU)
	return up
}

// killed reports whether a process was ended by force.
func killed(state *os.ProcessState) bool { return endedBy(state, syscall.SIGKILL) }

// timeUp reports whether a process was ended because it had used its processor
// time up.
func timeUp(state *os.ProcessState) bool { return endedBy(state, syscall.SIGXCPU) }

func endedBy(state *os.ProcessState, signal syscall.Signal) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == signal
}
