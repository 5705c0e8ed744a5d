package recording

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/wasmrouter/router/app/record"
)

// Files say where a recording goes. When a file is full or old it gets the number
// 1 behind its name, those before it the next, and a new one is begun; of files
// beyond Keep the oldest is removed. So a recording never has more than about
// Keep times MaxSize bytes.
type Files struct {
	Path    string
	MaxSize int64         // bytes of one file, above 0
	MaxAge  time.Duration // of one file; 0 is any
	Keep    int           // files, 1 at least
}

// files writes a recording.
type files struct {
	Files
	out    *os.File
	size   int64
	began  time.Time
	blocks record.Blocks
	made   int // files that there are besides out
}

// create makes the first file. What is there already is not touched: it refuses
// if a file has one of the names that the recording may come to need.
func create(f Files) (*files, error) {
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), filepath.Base(f.Path)+".")
		if n, err := strconv.Atoi(number); ok && err == nil && n > 0 && n < f.Keep && number == strconv.Itoa(n) {
			return nil, inTheWay(filepath.Join(filepath.Dir(f.Path), e.Name()))
		}
	}
	w := &files{Files: f}
	return w, w.begin()
}

// inTheWay is the error of a file that is in the way.
func inTheWay(path string) error {
	return fmt.Errorf("%s is there already; name another file, or move it away", path)
}

// begin makes a file that its owner alone can read: it has what is in messages.
func (f *files) begin() error {
	out, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return inTheWay(f.Path)
	}
	if err != nil {
		return err
	}
	n, err := out.WriteString(record.Header)
	f.out, f.size, f.began = out, int64(n), time.Now()
	return err
}

func (f *files) add(r *record.Record) error {
	full, err := f.blocks.Add(r)
	if full {
		err = f.flush()
	}
	return err
}

func (f *files) summary(s record.Summary) error {
	f.blocks.AddSummary(s)
	return f.flush()
}

// flush writes what was added.
func (f *files) flush() error {
	if f.blocks.Len() == 0 {
		return nil
	}
	block := f.blocks.Take()
	old := f.MaxAge > 0 && time.Since(f.began) > f.MaxAge
	if f.size > int64(len(record.Header)) && (old || f.size+int64(len(block)) > f.MaxSize) {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	n, err := f.out.Write(block)
	f.size += int64(n)
	return err
}

func (f *files) numbered(n int) string {
	if n == 0 {
		return f.Path
	}
	return f.Path + "." + strconv.Itoa(n)
}

// rotate moves every file one on, and begins a new one.
func (f *files) rotate() error {
	if f.made < f.Keep-1 {
		last := f.numbered(f.made + 1)
		if _, err := os.Lstat(last); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, inTheWay(last))
		}
		f.made++
	}
	if err := f.out.Close(); err != nil {
		return err
	}
	if f.Keep == 1 {
		if err := os.Remove(f.Path); err != nil {
			return err
		}
	}
	for n := f.made; n > 0; n-- { // renaming onto the oldest removes it
		if err := os.Rename(f.numbered(n-1), f.numbered(n)); err != nil {
			return err
		}
	}
	return f.begin()
}

func (f *files) close() error {
	return errors.Join(f.flush(), f.out.Close())
}

// names returns the files, the oldest first.
func (f *files) names() []string {
	var all []string
	for n := f.made; n >= 0; n-- {
		all = append(all, f.numbered(n))
	}
	return all
}
