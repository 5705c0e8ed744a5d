package wasmhost

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// cacheFormat changes when compiled modules of an older version of this
// package must not be read.
const cacheFormat = "1"

// prepareCache makes and checks the directory for compiled modules. Its files
// are run as machine code, so nobody else may write it.
func prepareCache(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("compilation cache: %w", err)
	}
	sub := filepath.Join(dir, cacheName())
	if err := os.Mkdir(sub, 0o700); err != nil && !os.IsExist(err) {
		return "", fmt.Errorf("compilation cache: %w", err)
	}
	for _, d := range []string{dir, sub} {
		if err := checkPrivate(d); err != nil {
			return "", err
		}
	}
	return sub, nil
}

func checkPrivate(dir string) error {
	stat, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("compilation cache: %w", err)
	}
	switch {
	case stat.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("compilation cache %s: it is a symbolic link; name the directory itself", dir)
	case !stat.IsDir():
		return fmt.Errorf("compilation cache %s: it is no directory", dir)
	case stat.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("compilation cache %s: others may write it (mode %#o), and it holds machine code: chmod 700 %s", dir, stat.Mode().Perm(), dir)
	}
	return checkOwner(dir, stat)
}

// cacheName is a name for what can read each other's files. The module's
// version of the compiler is part of it: the compiler itself cannot tell its
// version in every kind of build.
func cacheName() string {
	compiler := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/tetratelabs/wazero" {
				compiler = dep.Version
				if dep.Replace != nil {
					compiler = dep.Replace.Version + "-replaced"
				}
			}
		}
	}
	name := strings.Join([]string{"filters", cacheFormat, compiler, runtime.Version(), runtime.GOOS, runtime.GOARCH}, "-")
	return strings.Map(func(r rune) rune {
		if r == '/' || r == filepath.Separator || r == ' ' {
			return '_'
		}
		return r
	}, name)
}
