//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package compile

import (
	"os"
	"syscall"
)

// lockShared waits until nobody has the file exclusively. Closing the file, or
// the end of the process, gives a lock back.
func lockShared(f *os.File) error { return lock(f, syscall.LOCK_SH) }

// lockExclusive reports whether it got the file for itself alone; it does not
// wait.
func lockExclusive(f *os.File) bool { return lock(f, syscall.LOCK_EX|syscall.LOCK_NB) == nil }

func lock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}
