//go:build unix && !linux

package rabbitnode

import "syscall"

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// paused cannot be told here without a helper program.
func paused(int) bool { return true }
