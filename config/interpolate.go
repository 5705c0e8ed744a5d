package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"
)

// maxSecretFile bounds a file named in ${file:...}.
const maxSecretFile = 64 << 10

// interpolation resolves ${env:NAME}, ${env:NAME:-DEFAULT} and ${file:PATH}
// inside one string. What they stand for is not looked at again.
type interpolation struct {
	Options
	dir    string
	secret bool // what is written must not be shown
	warn   func(problem, hint string)
}

// problem is what is wrong with a value, and what to do about it.
type problem struct{ text, hint string }

func (in interpolation) expand(s string) (string, *problem) {
	var b strings.Builder
	for s != "" {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return "", &problem{"${ without a closing }", "write $${ for a ${ that is meant as it is"}
		}
		value, p := in.one(s[i+2 : i+end])
		if p != nil {
			return "", p
		}
		if !utf8.ValidString(value) {
			return "", &problem{"an interpolation does not yield UTF-8 text", "set it to text"}
		}
		b.WriteString(s[:i] + value)
		s = s[i+end+1:]
	}
	return b.String() + s, nil
}

func (in interpolation) one(s string) (string, *problem) {
	scheme, rest, ok := strings.Cut(s, ":")
	switch {
	case ok && scheme == "env":
		name, fallback, has := strings.Cut(rest, ":-")
		if name == "" || strings.ContainsAny(name, "=\x00 ") {
			return "", &problem{quote(name) + " is not the name of an environment variable", "write ${env:NAME}"}
		}
		value, found := in.Env(name)
		switch {
		case has && value == "":
			return fallback, nil
		case !found:
			return "", &problem{"the environment variable " + clip(name) + " is not set", "set it, or give a default with ${env:" + clip(name) + ":-DEFAULT}"}
		}
		return value, nil
	case ok && scheme == "file":
		return in.file(rest)
	}
	if in.secret {
		s = "..."
	}
	return "", &problem{"${" + clip(s) + "} is not an interpolation", "write ${env:NAME}, ${env:NAME:-DEFAULT} or ${file:PATH}, and $${ for a ${ that is meant as it is"}
}

func (in interpolation) file(path string) (string, *problem) {
	if path == "" {
		return "", &problem{"${file:} names no file", "write ${file:PATH}"}
	}
	full := path
	if !filepath.IsAbs(full) {
		full = filepath.Join(in.dir, full)
	}
	data, mode, err := readFile(in.open(full))(maxSecretFile)
	if err != nil {
		return "", &problem{"cannot read the file " + quote(path) + ": " + reason(err), "name a small file that the router may read"}
	}
	if mode.Perm()&0o004 != 0 {
		in.warn("every user of this machine can read the secret file "+quote(path), "chmod o-r it")
	}
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), nil
}

var (
	errNotRegular = errors.New("it is not a regular file")
	errTooLarge   = errors.New("it is too large")
)

// notBlocking lets opening a pipe return at once.
const notBlocking = os.O_RDONLY | syscall.O_NONBLOCK

func openFile(path string) (*os.File, error) { return os.OpenFile(path, notBlocking, 0) }

// readFile takes the result of opening a file and returns a function that reads at most limit bytes and closes it.
func readFile(f *os.File, err error) func(limit int64) ([]byte, fs.FileMode, error) {
	return func(limit int64) ([]byte, fs.FileMode, error) {
		if err != nil {
			return nil, 0, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return nil, 0, err
		}
		if !info.Mode().IsRegular() {
			return nil, 0, errNotRegular
		}
		data, err := io.ReadAll(io.LimitReader(f, limit+1))
		if err == nil && int64(len(data)) > limit {
			err = fmt.Errorf("%w: the limit is %s", errTooLarge, Size(limit))
		}
		return data, info.Mode(), err
	}
}

// reason is the cause of a file error without the path, which the caller names.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return err.Error()
}

// clip shortens text for an error and escapes what a terminal would act on.
func clip(s string) string {
	q := quote(s)
	return q[1 : len(q)-1]
}

// quote puts text, shortened, in quotes and escapes what a terminal would act
// on.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
