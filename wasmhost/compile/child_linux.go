package compile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// Stacks of threads count whole in some builds, however little of them is
	// used.
	stacks = 64 << 20
	// Reserved addresses cost nothing, and Go's heap reserves them generously.
	reserve = 256 << 20
	// Of the priority: others get three times the time where it is scarce.
	lower = 5
)

// confine limits this process. The router's priority, files and memory matter
// more than a compilation.
func confine(memory int64, seconds uint64) error {
	size, data, err := mapped()
	if err != nil {
		return err
	}
	for _, l := range []struct {
		what          int
		value, beyond uint64
	}{
		// What can be written, and, for code that was compiled and is not
		// written any more, all there is.
		{unix.RLIMIT_DATA, data + uint64(memory) + stacks, 0},
		{unix.RLIMIT_AS, size + 2*uint64(memory) + stacks + reserve, 0},
		{unix.RLIMIT_CPU, seconds, 1},
		{unix.RLIMIT_CORE, 0, 0},
	} {
		if err := limit(l.what, l.value, l.beyond); err != nil {
			return err
		}
	}
	// When the machine or the container runs out of memory, this is the process
	// to end. Without the file there is no such choice.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	if err := yield(); err != nil {
		return err
	}
	return closeOthers()
}

// mapped returns how many bytes this process has mapped, and how many of them it
// may write.
func mapped() (size, data uint64, err error) {
	const name = "/proc/self/statm"
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, 0, err
	}
	fields := bytes.Fields(text)
	if len(fields) < 6 {
		return 0, 0, fmt.Errorf("%s has %d fields", name, len(fields))
	}
	page := uint64(os.Getpagesize())
	if size, err = strconv.ParseUint(string(fields[0]), 10, 64); err != nil {
		return 0, 0, err
	}
	if data, err = strconv.ParseUint(string(fields[5]), 10, 64); err != nil {
		return 0, 0, err
	}
	return size * page, data * page, nil
}

// limit lowers a limit for good, and that which is enforced without a signal
// before to some more; one that is lower already stays.
func limit(what int, value, beyond uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(what, &l); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	l.Max = min(l.Max, value+beyond)
	l.Cur = min(l.Max, value)
	return os.NewSyscallError("setrlimit", unix.Setrlimit(what, &l))
}

// yield lets other processes go first. Priority belongs to threads, and new ones
// have that of the one that makes them: it is done when no thread is new.
func yield() error {
	seen := make(map[string]bool)
	for done := false; !done; {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		done = true
		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil || seen[t.Name()] {
				continue
			}
			seen[t.Name()], done = true, false
			kernel, err := unix.Getpriority(unix.PRIO_PROCESS, id) // 20 - nice
			if err == nil {
				err = unix.Setpriority(unix.PRIO_PROCESS, id, min(19, 20-kernel+lower))
			}
			if err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended
				return os.NewSyscallError("setpriority", err)
			}
		}
	}
	return nil
}

// closeOthers closes what the parent inherited and passed on without knowing.
// Go's own descriptors, of no file and no connection, stay.
func closeOthers() error {
	const dir = "/proc/self/fd"
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		fd, err := strconv.Atoi(f.Name())
		if err != nil || fd <= 2 {
			continue
		}
		target, err := os.Readlink(filepath.Join(dir, f.Name()))
		if err != nil || strings.HasPrefix(target, "anon_inode:") {
			continue // that of the listing is gone
		}
		if err := unix.Close(fd); err != nil {
			return os.NewSyscallError("close", err)
		}
	}
	return nil
}

// attributes makes a child die with its parent, and keeps from it the signals
// that a terminal sends to all of a group.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
