//go:build unix

package wasmhost

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func checkOwner(dir string, stat fs.FileInfo) error {
	sys, ok := stat.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("compilation cache %s: its owner is unknown", dir)
	}
	if int(sys.Uid) != os.Getuid() {
		return fmt.Errorf("compilation cache %s: it belongs to user %d, the router runs as user %d, and it holds machine code", dir, sys.Uid, os.Getuid())
	}
	return nil
}
