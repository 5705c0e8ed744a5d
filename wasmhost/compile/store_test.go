package compile

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// none is a compiler that cannot be started: what needs it fails.
var none = []string{"/there/is/none"}

func TestLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "cache")
	m := module(1)
	s, logs := open(t, Config{Dir: dir})
	for range 2 {
		if err := run(t, s, m); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{key(m)}, entries(t, s)); diff != "" {
		t.Error(diff)
	}
	// What is there needs no compiler.
	warm, _ := open(t, Config{Dir: dir, Compiler: none})
	if err := run(t, warm, m); err != nil {
		t.Error(err)
	}
	if err := run(t, warm, module(2)); err == nil || !strings.Contains(err.Error(), "cannot be started") {
		t.Error(err)
	}
	for _, d := range []string{dir, warm.dir.path, filepath.Join(warm.dir.path, key(m))} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", d, info.Mode(), err)
		}
	}
	broken := errors.New("broken")
	if err := s.Load(t.Context(), m, plenty, func(string) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if lines := logs.lines(); len(lines) > 0 {
		t.Errorf("logged %v", lines)
	}
}

func TestDamage(t *testing.T) {
	m := module(1)
	change := func(pattern string, change func([]byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			names, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(names) != 1 {
				t.Fatalf("%v, %v", names, err)
			}
			data, err := os.ReadFile(names[0])
			if err == nil {
				err = os.WriteFile(names[0], change(data), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	do := func(what func(dir string) error) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := what(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	const code = "wazero-*/*"
	damages := map[string]func(t *testing.T, dir string){
		"first bit":  change(code, func(b []byte) []byte { b[0] ^= 1; return b }),
		"last bit":   change(code, func(b []byte) []byte { b[len(b)-1] ^= 0x80; return b }),
		"bit amid":   change(code, func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b }),
		"truncated":  change(code, func(b []byte) []byte { return b[:len(b)/2] }),
		"empty":      change(code, func([]byte) []byte { return nil }),
		"longer":     change(code, func(b []byte) []byte { return append(b, 0) }),
		"sum":        change(sumName, func(b []byte) []byte { b[0] ^= 1; return b }),
		"empty sum":  change(sumName, func([]byte) []byte { return nil }),
		"wrong name": change(sumName, func(b []byte) []byte { return append(b[:len(b)-2], "x\n"...) }),
		"no sum":     do(func(dir string) error { return os.Remove(filepath.Join(dir, sumName)) }),
		"no code": do(func(dir string) error {
			name, err := codeFile(dir)
			return errors.Join(err, os.Remove(filepath.Join(dir, name)))
		}),
		"two codes": do(func(dir string) error {
			name, err := codeFile(dir)
			return errors.Join(err, os.WriteFile(filepath.Join(dir, name+"x"), nil, 0o600))
		}),
		"nothing": do(func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) }),
		"a file":  do(func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) }),
		"a link":  do(func(dir string) error { return errors.Join(os.Rename(dir, dir+"x"), os.Symlink(dir+"x", dir)) }),
		"not to be read": do(func(dir string) error {
			name, err := codeFile(dir)
			return errors.Join(err, os.Remove(filepath.Join(dir, name)), os.Mkdir(filepath.Join(dir, name), 0o700))
		}),
	}
	if os.Getuid() != 0 { // whom nothing is forbidden
		damages["forbidden"] = do(func(dir string) error { return os.Chmod(dir, 0) })
		damages["forbidden code"] = do(func(dir string) error {
			name, err := codeFile(dir)
			return errors.Join(err, os.Chmod(filepath.Join(dir, name), 0))
		})
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			s, logs := open(t, Config{Dir: t.TempDir()})
			if err := run(t, s, m); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(s.dir.path, key(m))
			damage(t, dir)
			for range 2 { // mended for good
				if err := run(t, s, m); err != nil {
					t.Error(err)
				}
			}
			if err := verify(dir); err != nil {
				t.Error(err)
			}
			lines := logs.lines()
			if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "compiled again") {
				t.Errorf("logged %v, want one warning", lines)
			}
		})
	}
}

// Two processes' stores, and many callers of each, in one directory.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	var modules [][]byte
	for i := range 3 {
		modules = append(modules, module(byte(1+i)))
	}
	stores := make([]*Store, 2)
	for i := range stores {
		stores[i], _ = open(t, Config{Dir: dir})
	}
	var wg sync.WaitGroup
	for range 3 {
		for _, m := range modules {
			for _, s := range stores {
				wg.Go(func() {
					if err := run(t, s, m); err != nil {
						t.Error(err)
					}
				})
				wg.Go(s.dir.prune)
			}
		}
	}
	wg.Wait()
	if have := entries(t, stores[0]); len(have) != len(modules) {
		t.Errorf("%v, want %d entries and nothing else", have, len(modules))
	}
}

func TestNoRoomInTheDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	logs := new(logBuffer)
	s, err := New(Config{Dir: t.TempDir(), Compiler: self(t), Logger: slog.New(slog.NewTextHandler(logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing can be written where a file is.
	if err := errors.Join(os.RemoveAll(s.dir.path), os.WriteFile(s.dir.path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		for range 2 {
			if err := run(t, s, module(byte(i))); err != nil {
				t.Error(err)
			}
		}
	}
	lines := logs.lines()
	if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], s.dir.path) {
		t.Errorf("logged %v, want one warning that names %s", lines, s.dir.path)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestCompilerWithoutRoom(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, logs := open(t, Config{Dir: t.TempDir(), Compiler: start(t, "say", `store "write wazero: no space left on device"`, "", "0")})
	err := run(t, s, module(1))
	var fault *ModuleError
	if err == nil || errors.As(err, &fault) || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("%v, want the reason and the place that was tried last", err)
	}
	if lines := logs.lines(); len(lines) != 1 || !strings.Contains(lines[0], s.dir.path) {
		t.Errorf("logged %v, want one warning that names %s", lines, s.dir.path)
	}
}

func TestTemporaryDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	other, _ := open(t, Config{})
	// What a process left that is gone, and what is none of ours.
	abandoned := filepath.Join(os.TempDir(), temporaryPrefix+"1")
	foreign := filepath.Join(os.TempDir(), temporaryPrefix+"2")
	for _, dir := range []string{filepath.Join(abandoned, versionPrefix+"old", "entry"), foreign} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(foreign, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Compiler: self(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t, s, module(1)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(abandoned); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", abandoned, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{foreign: true, other.dir.base: true}, set(left)); diff != "" {
		t.Error(diff)
	}
	t.Setenv("TMPDIR", "/there/is/none")
	if _, err := New(Config{Compiler: self(t)}); err == nil {
		t.Error("a store without a place")
	}
}

func set(names []string) map[string]bool {
	all := make(map[string]bool, len(names))
	for _, n := range names {
		all[n] = true
	}
	return all
}

// fill makes an entry of a size that was used some time ago.
func fill(t *testing.T, d *directory, name string, size int, ago time.Duration) {
	t.Helper()
	dir := filepath.Join(d.path, name)
	used := time.Now().Add(-ago)
	err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "code"), make([]byte, size), 0o600), os.Chtimes(dir, used, used))
	if err != nil {
		t.Fatal(err)
	}
}

func TestPrune(t *testing.T) {
	s, _ := open(t, Config{Dir: t.TempDir(), Size: 1000})
	d := s.dir
	fill(t, d, "new", 900, time.Second) // somebody is about to load it
	fill(t, d, "also new", 900, 2*time.Second)
	fill(t, d, "hour", 100, time.Hour)
	d.prune()
	if diff := cmp.Diff(map[string]bool{"new": true, "also new": true}, set(entries(t, s))); diff != "" {
		t.Error(diff)
	}
	for _, name := range entries(t, s) {
		if err := os.RemoveAll(filepath.Join(d.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, d, "an hour", 400, time.Hour)
	fill(t, d, "two hours", 900, 2*time.Hour)
	fill(t, d, "three hours", 500, 3*time.Hour)
	fill(t, d, "two months", 1, 60*24*time.Hour)
	held, err := d.hold()
	if err != nil {
		t.Fatal(err)
	}
	d.prune()
	if n := len(entries(t, s)); n != 4 {
		t.Errorf("%d entries while one is being loaded", n)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	d.prune()
	if diff := cmp.Diff(map[string]bool{"an hour": true, "three hours": true}, set(entries(t, s))); diff != "" {
		t.Error(diff)
	}
}

// Loading makes an entry young.
func TestPruneKeepsWhatIsUsed(t *testing.T) {
	s, _ := open(t, Config{Dir: t.TempDir(), Size: 1})
	m := module(1)
	if err := run(t, s, m); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-48 * time.Hour)
	dir := filepath.Join(s.dir.path, key(m))
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	if err := run(t, s, m); err != nil {
		t.Fatal(err)
	}
	s.dir.prune()
	if len(entries(t, s)) != 1 {
		t.Error("what was just loaded is gone")
	}
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	if err := run(t, s, module(2)); err != nil { // prunes when it has compiled
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{key(module(2))}, entries(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestPruneVersions(t *testing.T) {
	base := t.TempDir()
	old := filepath.Join(base, versionPrefix+"old")
	used := filepath.Join(base, versionPrefix+"used")
	others := filepath.Join(base, "others")
	for _, dir := range []string{old, used, others, filepath.Join(base, tmpPrefix+"1")} {
		if err := os.MkdirAll(filepath.Join(dir, "entry"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	inUse, err := openLock(filepath.Join(used, inUseName))
	if err != nil {
		t.Fatal(err)
	}
	defer inUse.Close()
	if err := lockShared(inUse); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, Config{Dir: base})
	left, err := filepath.Glob(filepath.Join(base, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{used: true, others: true, s.dir.path: true}, set(left)); diff != "" {
		t.Error(diff)
	}
}

// A directory that is taken away just before it is locked, and made again by
// another process, is opened again.
func TestOpenWhileRemoved(t *testing.T) {
	base := t.TempDir()
	d, err := openDirectory(base, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	remover, err := openLock(filepath.Join(d.path, inUseName))
	if err != nil || !lockExclusive(remover) {
		t.Fatal(err)
	}
	opened := make(chan *directory, 1)
	go func() {
		d, err := openDirectory(base, 1)
		if err != nil {
			t.Error(err)
		}
		opened <- d
	}()
	await(t, "another that has the file open", func() bool {
		n := 0
		files, err := filepath.Glob("/proc/self/fd/*")
		for _, f := range files {
			if name, err := os.Readlink(f); err == nil && name == remover.Name() {
				n++
			}
		}
		return err != nil || n == 2
	})
	if err := os.Rename(d.path, filepath.Join(base, "gone")); err != nil {
		t.Fatal(err)
	}
	again, err := openDirectory(base, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if err := remover.Close(); err != nil {
		t.Fatal(err)
	}
	d = <-opened
	defer d.close()
	have, err := d.inUse.Stat()
	is, other := again.inUse.Stat()
	if err := errors.Join(err, other); err != nil || !os.SameFile(have, is) {
		t.Errorf("the file that it has locked is not the one that others look at: %v", err)
	}
}

func TestDirectoryThatOthersCanWriteIsRefused(t *testing.T) {
	mkdir := func(mode os.FileMode, elem ...string) string {
		dir := filepath.Join(elem...)
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inner := mkdir(0o700, t.TempDir(), "dir")
	mkdir(0o720, inner, versionName())
	linked := mkdir(0o700, t.TempDir(), "dir")
	if err := os.Symlink(t.TempDir(), filepath.Join(linked, versionName())); err != nil {
		t.Fatal(err)
	}
	for dir, text := range map[string]string{
		mkdir(0o777, t.TempDir(), "dir"): "chmod 700",
		link:                             "symbolic link",
		file:                             "not a directory",
		inner:                            "chmod 700",
		linked:                           "symbolic link",
		filepath.Join(mkdir(0o777, t.TempDir(), "above"), "dir"): "chmod o-w",
		filepath.Join(file, "dir"):                               "not a directory",
	} {
		if _, err := New(Config{Dir: dir, Compiler: none}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", dir, err, text)
		}
	}
	sticky := filepath.Join(mkdir(0o777|os.ModeSticky, t.TempDir(), "tmp"), "dir")
	open(t, Config{Dir: sticky})
	if _, err := New(Config{Dir: sticky}); err == nil {
		t.Error("a store without a compiler")
	}
	if os.Getuid() == 0 {
		foreign := mkdir(0o700, t.TempDir(), "dir")
		if err := os.Chown(foreign, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Dir: foreign, Compiler: none}); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
			t.Error(err)
		}
	}
}

func TestVersionName(t *testing.T) {
	name := versionName()
	if !strings.HasPrefix(name, versionPrefix+format+"-") || name != filepath.Base(name) || strings.ContainsAny(name, " /") {
		t.Error(name)
	}
	t.Log(name)
}
