package compile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// TestMain runs the tests, or what they start: a compiler, or one of the
// programs in its place.
func TestMain(m *testing.M) {
	Main()
	if len(os.Args) > 2 && os.Args[1] == "program" {
		program, ok := programs[os.Args[2]]
		if !ok {
			fmt.Fprintln(os.Stderr, "no such program:", os.Args[2])
			os.Exit(1)
		}
		program(os.Args[3:])
		os.Exit(0)
	}
	// Or every child of a test under the race detector waits for a second.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// start returns the command of one of the programs.
func start(t *testing.T, name string, args ...string) []string {
	t.Helper()
	return append([]string{self(t)[0], "program", name}, args...)
}

func self(t testing.TB) []string {
	t.Helper()
	command, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	return command
}

// section is one section of a module.
func section(id byte, content ...byte) []byte {
	return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
}

// module is one with a function of this code, without the last end, and a
// memory of so many pages to tell apart.
func module(pages byte, code ...byte) []byte {
	body := append(append([]byte{0}, code...), 0x0b)
	m := []byte("\x00asm\x01\x00\x00\x00")
	m = append(m, section(1, 1, 0x60, 0, 0)...)
	m = append(m, section(3, 1, 0)...)
	m = append(m, section(5, 1, 0, pages)...)
	return append(m, section(10, append(binary.AppendUvarint([]byte{1}, uint64(len(body))), body...)...)...)
}

// bomb is a module whose branch table keeps the compiler busy for minutes, and
// takes some 20 bytes of memory for each target. Checking and metering would
// refuse it.
func bomb(targets int) []byte {
	code := []byte{0x02, 0x40, 0x41, 0x00, 0x0e} // block, i32.const 0, br_table
	code = binary.AppendUvarint(code, uint64(targets))
	code = append(code, make([]byte, targets+1)...)
	return module(1, append(code, 0x0b)...)
}

const (
	slow   = 2_000_000 // targets that take minutes
	greedy = 8_000_000 // and those that soon take hundreds of MiB
)

var plenty = Limits{Time: time.Minute, Memory: 512 << 20}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// lines returns what was logged.
func (l *logBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(strings.Lines(l.buf.String()))
}

// open opens a store that is closed with the test.
func open(t testing.TB, cfg Config) (*Store, *logBuffer) {
	t.Helper()
	logs := new(logBuffer)
	cfg.Logger = slog.New(slog.NewTextHandler(logs, nil))
	if cfg.Compiler == nil {
		cfg.Compiler = self(t)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, logs
}

// run loads a module as the host does, and reports whether wazero found it.
func run(t testing.TB, s *Store, m []byte) error {
	t.Helper()
	return s.Load(t.Context(), m, plenty, func(dir string) error {
		before := files(t, dir)
		err := into(t.Context(), dir, m)
		if diff := cmp.Diff(before, files(t, dir)); diff != "" {
			t.Errorf("loading compiled: %s", diff)
		}
		return err
	})
}

// files returns what is below a directory, with sizes and times, but for the
// files of locks.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && !e.IsDir() && e.Name() != lockName && e.Name() != inUseName {
			found[path] = fmt.Sprint(info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// entries returns the names in a store's directory, but for those of locks.
func entries(t testing.TB, s *Store) []string {
	t.Helper()
	list, err := os.ReadDir(s.dir.path)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range list {
		if e.Name() != lockName && e.Name() != inUseName {
			names = append(names, e.Name())
		}
	}
	return names
}

// key is the name of a module's entry.
func key(m []byte) string { return fmt.Sprintf("%x", sha256.Sum256(m)) }
