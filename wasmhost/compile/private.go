package compile

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/cpu"
)

// format changes when code that an older version of this package kept must not
// be read.
const format = "2"

// versionPrefix begins every name that versionName returned in any version.
const versionPrefix = "filters-"

// versionName is a name for what can read each other's files: the compiler, what
// it runs in, and the features of WebAssembly and the processor that it makes use
// of. The
// module's version of the compiler is part of it: the compiler itself cannot
// tell its version in every kind of build.
func versionName() string {
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
	parts := []string{format, compiler, runtime.Version(), runtime.GOOS, runtime.GOARCH, fmt.Sprintf("%x", uint64(features))}
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"sse41", cpu.X86.HasSSE41},
		{"bmi1", cpu.X86.HasBMI1},
		{"bmi2", cpu.X86.HasBMI2},
		{"popcnt", cpu.X86.HasPOPCNT},
		{"atomics", cpu.ARM64.HasATOMICS},
	} {
		if f.has {
			parts = append(parts, f.name)
		}
	}
	return strings.Map(func(r rune) rune {
		if r == '/' || r == filepath.Separator || r == ' ' {
			return '_'
		}
		return r
	}, versionPrefix+strings.Join(parts, "-"))
}

// makePrivate makes a directory, with those above it, and checks it.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return checkPrivate(dir)
}

// checkPrivate refuses a directory that others could put files into. Its files
// are run as machine code.
func checkPrivate(dir string) error {
	stat, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	switch {
	case stat.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link; name the directory itself", dir)
	case !stat.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	case stat.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write %s (mode %#o), and it holds machine code: chmod 700 %s", dir, stat.Mode().Perm(), dir)
	}
	return checkOwner(dir, stat)
}

// checkAbove refuses a directory that others could put another in the place of.
// Where the sticky bit is set, as in /tmp, they cannot.
func checkAbove(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for {
		above := filepath.Dir(dir)
		if above == dir {
			return nil
		}
		dir = above
		stat, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if stat.Mode().Perm()&0o002 != 0 && stat.Mode()&os.ModeSticky == 0 {
			return fmt.Errorf("others may write %s (mode %#o) and with it replace what is in it: chmod o-w %s", dir, stat.Mode().Perm(), dir)
		}
	}
}
