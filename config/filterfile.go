package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
)

// FilterFileName is what a filter project's file is called.
const FilterFileName = "filter.toml"

// FilterFile is a filter.toml: the keys of one [filters.NAME] table, by
// themselves. It is made by [LoadFilter] or [ParseFilter].
type FilterFile struct {
	Filter

	doc *document
}

// LoadFilter reads the filter.toml at path as strictly as [Load] reads a
// router.toml. The error is [Errors].
func LoadFilter(path string, o Options) (*FilterFile, []Warning, error) {
	data, _, err := readFile(openFile(path))(MaxFileSize.Bytes())
	if err != nil {
		return nil, nil, Errors{{File: path, Problem: "cannot read the file: " + reason(err), Hint: "router filter new makes one", Err: err}}
	}
	return parseFilter(path, data, filepath.Dir(path), o)
}

// ParseFilter reads data as LoadFilter reads a file. Name stands for the file in
// errors; the module's path is relative to dir. The error is [Errors].
func ParseFilter(name string, data []byte, dir string) (*FilterFile, []Warning, error) {
	return parseFilter(name, data, dir, Options{})
}

func parseFilter(name string, data []byte, dir string, o Options) (*FilterFile, []Warning, error) {
	doc, tree, e := parseDocument(name, data, dir)
	if e != nil {
		return nil, nil, Errors{e}
	}
	b := newBinder(doc, o)
	f := &FilterFile{Filter: b.preset.Filter, doc: doc}
	b.structure(nil, tree, reflect.ValueOf(&f.Filter).Elem())
	checkFilter(b, nil, f.Filter, Process{})
	if _, written := doc.find([]string{"shadow"}); written {
		b.refuse([]string{"shadow"}, "write [filters.NAME.shadow] in router.toml", "a filter.toml is of one version")
	}
	sortByPosition(b.warnings, func(w Warning) *Error { return &w.Error })
	if len(b.errors) > 0 {
		sortByPosition(b.errors, func(e *Error) *Error { return e })
		return nil, b.warnings, b.errors
	}
	return f, b.warnings, nil
}

// File returns the name given to LoadFilter or ParseFilter.
func (f *FilterFile) File() string { return f.doc.name }

// Dir returns the directory that the module's path is relative to, absolute.
func (f *FilterFile) Dir() string { return f.doc.dir }

// Errorf returns an error at the position of a key, as [Config.Errorf] does.
func (f *FilterFile) Errorf(keys []string, hint, format string, args ...any) *Error {
	return f.doc.errorf(keys, hint, format, args...)
}

// ReadModule reads the module as [Config.ReadFilter] does: from the file's
// directory alone.
func (f *FilterFile) ReadModule() ([]byte, error) {
	at := []string{"path"}
	if _, ok := f.Stock(); ok {
		return nil, f.Errorf(at, "", "%w", ErrStock)
	}
	data, _, err := readFile(openWithin(f.doc.dir, f.Path))(f.Limits.ModuleSize.Bytes())
	switch {
	case errors.Is(err, errTooLarge):
		return nil, f.Errorf(at, "raise limits.module_size", "cannot read %s: %w", quote(f.Path), reasonOf(err))
	case errors.Is(err, os.ErrNotExist):
		return nil, f.Errorf(at, "run `router filter build`", "there is no %s: %w", quote(f.Path), reasonOf(err))
	case err != nil:
		return nil, f.Errorf(at, "", "cannot read %s: %w", quote(f.Path), reasonOf(err))
	}
	return data, nil
}
