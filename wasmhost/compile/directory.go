package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A directory holds compiled code of one version, in this layout:
//
//	BASE/filters-2-…/            versionName
//	    in-use                   locked, shared, by every process that has it open
//	    lock                     locked, shared, while something is read or put in
//	                             place, and alone to take something away
//	    5f2c…/                   one module, by the sum of its metered bytes; its
//	                             time is when it was last loaded
//	        sha256               the sum and the name of the other file
//	        wazero-…/91ab…       the code as wazero wrote it
//	    tmp-…/                   being made, then locked, or being removed
//
// Wazero copies the code when it loads it and then needs the file no more: an
// entry is in use only as long as the shared lock is held.
type directory struct {
	base, path string
	size       int64    // bytes to keep in base
	inUse      *os.File // its lock says that the directory is
}

const (
	inUseName = "in-use"
	lockName  = "lock"
	sumName   = "sha256"
	tmpPrefix = "tmp-"
)

// A storeError says that code cannot be kept or read in a place, which is not
// the module's fault.
type storeError struct {
	dir string
	err error
}

func (e *storeError) Error() string {
	return fmt.Sprintf("compiled filters cannot be kept in %s: %s", e.dir, strings.ReplaceAll(e.err.Error(), "\n", "; "))
}
func (e *storeError) Unwrap() error { return e.err }

// openDirectory makes and checks the directories; the caller closes what it
// returns.
func openDirectory(base string, size int64) (*directory, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, &storeError{base, err}
	}
	d := &directory{base: base, path: filepath.Join(base, versionName()), size: size}
	if err := makePrivate(base); err != nil {
		return nil, &storeError{base, err}
	}
	if err := checkAbove(base); err != nil {
		return nil, &storeError{base, err}
	}
	// A process of another version takes a directory away that is not locked
	// yet: once, or a few times if that is what many do.
	for range 100 {
		if err = d.open(); err == nil {
			return d, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return nil, &storeError{base, err}
}

// open fails with fs.ErrNotExist if the directory was taken away meanwhile.
func (d *directory) open() error {
	if err := makePrivate(d.path); err != nil {
		return err
	}
	name := filepath.Join(d.path, inUseName)
	f, err := openLock(name)
	if err != nil {
		return err
	}
	if err := lockShared(f); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	have, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if is, err := os.Lstat(name); err != nil || !os.SameFile(have, is) {
		return errors.Join(fs.ErrNotExist, f.Close())
	}
	d.inUse = f
	return nil
}

func (d *directory) close() error { return d.inUse.Close() }

func openLock(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
}

// hold keeps entries from being taken away until the file it returns is closed.
func (d *directory) hold() (*os.File, error) {
	f, err := openLock(filepath.Join(d.path, lockName))
	if err != nil {
		return nil, err
	}
	if err := lockShared(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

var (
	errMissing = errors.New("it is not compiled")
	errDamaged = errors.New("it is not what was compiled")
)

// find calls use with the directory of an entry that is whole. The error is
// errMissing when there is none, and errDamaged when there was one, which it has
// removed; all others that are not a storeError are those of use.
func (d *directory) find(key string, use func(dir string) error) error {
	held, err := d.hold()
	if err != nil {
		return &storeError{d.base, err}
	}
	defer held.Close()
	dir := filepath.Join(d.path, key)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return errMissing
	}
	if err := verify(dir); err != nil {
		if gone := d.remove(dir); gone != nil {
			return &storeError{d.base, errors.Join(err, gone)}
		}
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // without it the entry only seems older
	return use(dir)
}

// remove takes a file or directory out of its place at once, and then deletes
// it. What cannot be deleted is tried again when the directory is pruned.
func (d *directory) remove(name string) error {
	tmp, err := os.MkdirTemp(d.path, tmpPrefix)
	if err != nil {
		return err
	}
	if stat, err := os.Lstat(name); err == nil && stat.IsDir() {
		_ = os.Chmod(name, 0o700) // one that cannot be written cannot be moved
	}
	err = os.Rename(name, filepath.Join(tmp, "x"))
	_ = os.RemoveAll(tmp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process was faster
	}
	return err
}

// seal writes down the sum of the code in dir.
func seal(dir string) error {
	name, err := codeFile(dir)
	if err != nil {
		return &storeError{dir, err}
	}
	sum, err := sumOf(filepath.Join(dir, name))
	if err != nil {
		return &storeError{dir, err}
	}
	// sha256sum -c can read it.
	if err := os.WriteFile(filepath.Join(dir, sumName), []byte(sum+"  "+name+"\n"), 0o600); err != nil {
		return &storeError{dir, err}
	}
	return nil
}

// codeFile returns the name, below dir, of the only file that wazero wrote.
func codeFile(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("%s: %d files of code, not one", dir, len(files))
	}
	return filepath.Rel(dir, files[0])
}

// verify checks that the code in dir is what was sealed. What is mapped as
// machine code later must not be a file that something has damaged: wazero
// checks no more than a CRC of a part of it.
func verify(dir string) error {
	if stat, err := os.Lstat(dir); err != nil || !stat.IsDir() {
		return errors.Join(err, fmt.Errorf("%s is no directory", dir))
	}
	line, err := os.ReadFile(filepath.Join(dir, sumName))
	if err != nil {
		return err
	}
	want, name, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), "  ")
	if have, err := codeFile(dir); err != nil || have != name {
		return errors.Join(err, fmt.Errorf("%s names another file than there is", filepath.Join(dir, sumName)))
	}
	have, err := sumOf(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if want != have {
		return fmt.Errorf("%s does not have the sum in %s", filepath.Join(dir, name), sumName)
	}
	return nil
}

func sumOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// put calls fill with a new directory, and makes that the entry of key if it
// succeeds. If there is one by then, that stays. Nothing else is left behind.
func (d *directory) put(key string, fill func(dir string) error) (err error) {
	tmp, lock, err := d.temporary()
	if err != nil {
		return &storeError{d.base, err}
	}
	defer func() {
		if gone := errors.Join(os.RemoveAll(tmp), lock.Close()); gone != nil && err == nil {
			err = &storeError{d.base, gone}
		}
	}()
	if err := fill(tmp); err != nil {
		return err
	}
	held, err := d.hold()
	if err != nil {
		return &storeError{d.base, err}
	}
	defer held.Close()
	if err := os.Rename(tmp, filepath.Join(d.path, key)); err != nil && !errors.Is(err, fs.ErrExist) {
		return &storeError{d.base, err}
	}
	return nil
}

// temporary makes a directory that is kept as long as its lock.
func (d *directory) temporary() (tmp string, lock *os.File, err error) {
	held, err := d.hold() // or it could be taken for a dead process's before it is locked
	if err != nil {
		return "", nil, err
	}
	defer held.Close()
	if tmp, err = os.MkdirTemp(d.path, tmpPrefix); err != nil {
		return "", nil, err
	}
	if lock, err = os.Open(tmp); err != nil {
		return "", nil, err
	}
	if err := lockShared(lock); err != nil {
		return "", nil, errors.Join(err, lock.Close())
	}
	return tmp, lock, nil
}
