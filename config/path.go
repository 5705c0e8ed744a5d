package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// ErrStock is wrapped by the error of [Config.ReadFilter] for a filter that is
// built in and has no file.
var ErrStock = errors.New("a stock filter has no file")

// Stock returns the name of the built-in filter when path is stock:NAME.
func (f Filter) Stock() (name string, ok bool) { return strings.CutPrefix(f.Path, "stock:") }

// HasShadow reports whether there is a new version to be tried.
func (f Filter) HasShadow() bool { return f.Shadow.Path != "" }

// Successor returns the filter as it is with its new version in place of the one
// in use.
func (f Filter) Successor() Filter {
	s := f.Shadow
	f.Shadow, f.Path, f.SHA256 = Shadow{}, s.Path, s.SHA256
	if s.Stages != nil {
		f.Stages = s.Stages
	}
	if s.Config != nil {
		f.Config = s.Config
	}
	return f
}

// ReadFilter reads the module of the named filter: at most limits.module_size
// bytes of a regular file that, unless process.allow_outside_paths is set, lies
// in the configuration file's directory, symbolic links resolved, and is signed
// if process.signers asks for that. What the caller pins, hashes and compiles
// should be these bytes. Errors are positioned
// *[Error]; one for a stock filter wraps [ErrStock].
func (c *Config) ReadFilter(name string) ([]byte, error) {
	f, ok := c.Filters[name]
	if !ok {
		return nil, c.Errorf([]string{"filters"}, didYouMean(name, sortedKeys(c.Filters)), "there is no filter %s", quote(name))
	}
	return c.readModule(name, f, []string{"filters", name, "path"})
}

// ReadShadow reads the module of the named filter's new version as ReadFilter
// reads the filter's.
func (c *Config) ReadShadow(name string) ([]byte, error) {
	return c.readModule(name, c.Filters[name].Successor(), []string{"filters", name, "shadow", "path"})
}

// readModule reads the module of f, whose path is at the key at.
func (c *Config) readModule(name string, f Filter, at []string) ([]byte, error) {
	if _, ok := f.Stock(); ok {
		return nil, c.Errorf(at, "", "%w", ErrStock)
	}
	data, _, err := readFile(c.open(f.Path))(f.Limits.ModuleSize.Bytes())
	switch {
	case errors.Is(err, errTooLarge):
		return nil, c.Errorf(at, "raise filters."+renderKey(name)+".limits.module_size", "cannot read %s: %w", quote(f.Path), err)
	case errors.Is(err, os.ErrNotExist):
		return nil, c.Errorf(at, "build it, or correct the path", "cannot read %s: %w", quote(f.Path), reasonOf(err))
	case err != nil:
		return nil, c.Errorf(at, "", "cannot read %s: %w", quote(f.Path), reasonOf(err))
	}
	if err := c.verify(at, f.Path, data); err != nil {
		return nil, err
	}
	return data, nil
}

func (c *Config) open(path string) (*os.File, error) {
	dir := c.Dir()
	if c.Process.AllowOutsidePaths {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return openFile(path)
	}
	return openWithin(dir, path)
}

// openWithin opens a file that lies in dir, symbolic links resolved.
func openWithin(dir, path string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenFile(path, notBlocking, 0)
}

// Dir returns the directory that relative paths are relative to, absolute.
func (c *Config) Dir() string {
	if c.doc == nil {
		return "."
	}
	return c.doc.dir
}

// CacheDir returns the directory for compiled filters: process.cache_dir, or
// wasmrouter in the user's cache directory.
func (c *Config) CacheDir() (string, error) {
	if c.Process.CacheDir != "" {
		return c.Process.CacheDir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", c.Errorf([]string{"process", "cache_dir"}, "set it", "there is no default: %w", err)
	}
	return filepath.Join(dir, "wasmrouter"), nil
}

// reasonOf is reason with the cause kept for errors.Is.
func reasonOf(err error) error { return causeError{reason(err), err} }

type causeError struct {
	text string
	err  error
}

func (e causeError) Error() string { return e.text }
func (e causeError) Unwrap() error { return e.err }
