//go:build !unix

package compile

import (
	"os"
	"syscall"
)

// confine limits this process's memory; its time is the parent's clock.
func confine(memory int64, _ uint64) error {
	watchMemory(memory, memoryFull)
	return nil
}

func processorTime() <-chan os.Signal { return nil }

func attributes() *syscall.SysProcAttr { return nil }

func killed(*os.ProcessState) bool { return false }
func timeUp(*os.ProcessState) bool { return false }
