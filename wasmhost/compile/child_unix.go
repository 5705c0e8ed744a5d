//go:build unix && !linux

package compile

import (
	"os"
	"syscall"
)

// confine limits this process as far as these systems keep limits. Not all of
// them count the memory that Go maps, so a watch does.
func confine(memory int64, seconds uint64) error {
	for what, value := range map[int]uint64{syscall.RLIMIT_CPU: seconds, syscall.RLIMIT_CORE: 0} {
		beyond := min(value, 1) // a signal comes first
		var l syscall.Rlimit
		if err := syscall.Getrlimit(what, &l); err != nil {
			return os.NewSyscallError("getrlimit", err)
		}
		if uint64(l.Max) > value+beyond {
			assign(&l.Max, value+beyond)
		}
		assign(&l.Cur, min(uint64(l.Max), value))
		if err := syscall.Setrlimit(what, &l); err != nil {
			return os.NewSyscallError("setrlimit", err)
		}
	}
	watchMemory(memory, memoryFull)
	// Other processes go first, unless this one is low already.
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 5)
	return nil
}

// assign sets a field whose sign differs between systems.
func assign[T int64 | uint64](field *T, value uint64) { *field = T(value) }

// attributes keeps from a child the signals that a terminal sends to all of a
// group. It notices by its input that its parent is gone.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
