//go:build unix

package compile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func checkOwner(dir string, stat fs.FileInfo) error {
	sys, ok := stat.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("the owner of %s is unknown", dir)
	}
	if int(sys.Uid) != os.Getuid() {
		return fmt.Errorf("%s belongs to user %d, the router runs as user %d, and it holds machine code", dir, sys.Uid, os.Getuid())
	}
	return nil
}
