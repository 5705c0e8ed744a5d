package compile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// How long an entry is kept that nobody loads, and how long one is left alone
// that somebody may have made in order to load it next.
const (
	maxAge = 30 * 24 * time.Hour
	minAge = time.Minute
)

// prune removes what dead processes left, the directories of other versions that
// no process uses, entries that nobody has loaded for long, and, longest unused
// first, those that are too much. It does nothing while another process loads or
// keeps code. It is of no harm if it fails: what is left is tried again at the
// next start.
func (d *directory) prune() {
	held, err := openLock(filepath.Join(d.path, lockName))
	if err != nil {
		return
	}
	defer held.Close()
	if !lockExclusive(held) {
		return
	}
	d.pruneLocked()
}

func (d *directory) pruneLocked() {
	removeVersions(d.base, filepath.Base(d.path))
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return
	}
	type item struct {
		path string
		size int64
		used time.Time
	}
	var items []item
	for _, e := range entries {
		path := filepath.Join(d.path, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), tmpPrefix):
			removeAbandoned(path)
		case e.IsDir():
			info, err := e.Info()
			if err == nil {
				items = append(items, item{path, sizeOf(path), info.ModTime()})
			}
		}
	}
	slices.SortFunc(items, func(a, b item) int { return b.used.Compare(a.used) }) // newest first
	var total int64
	for _, i := range items {
		age := time.Since(i.used)
		if total += i.size; total > d.size && age > minAge || age > maxAge {
			total -= i.size
			_ = d.remove(i.path)
		}
	}
}

// sizeOf returns the bytes of all files below a directory.
func sizeOf(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if info, err := e.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

// removeAbandoned removes a temporary directory if the process that made it is
// gone, and its lock with it.
func removeAbandoned(tmp string) {
	f, err := os.Open(tmp)
	switch {
	case err == nil:
		defer f.Close()
		if !lockExclusive(f) {
			return
		}
	case !errors.Is(err, fs.ErrPermission):
		return
	}
	_ = os.RemoveAll(tmp)
}

// removeVersions removes the directories of other versions in base that no
// process has open.
func removeVersions(base, keep string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(base, e.Name())
		switch {
		case !e.IsDir():
		case strings.HasPrefix(e.Name(), tmpPrefix):
			_ = os.RemoveAll(path) // one that was being removed
		case strings.HasPrefix(e.Name(), versionPrefix) && e.Name() != keep:
			removeVersion(path)
		}
	}
}

func removeVersion(path string) {
	inUse, err := openLock(filepath.Join(path, inUseName))
	if err != nil {
		return
	}
	defer inUse.Close()
	if !lockExclusive(inUse) {
		return
	}
	// A process that opens it now finds out, once it has the lock, that the file
	// is in its place no more.
	tmp, err := os.MkdirTemp(filepath.Dir(path), tmpPrefix)
	if err != nil {
		return
	}
	_ = os.Rename(path, filepath.Join(tmp, "x"))
	_ = os.RemoveAll(tmp)
}

// temporaryPrefix begins the names of directories of processes that have no
// other place.
const temporaryPrefix = "wasmrouter-filters-"

// removeTemporary removes those of processes that ended without doing so.
func removeTemporary() {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), temporaryPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		if checkPrivate(dir) == nil {
			removeVersions(dir, "")
			_ = os.Remove(dir) // unless a version is in use
		}
	}
}
