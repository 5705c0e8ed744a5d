package workbench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/wasmhost"
)

// Subject is a filter to work on: a project, a module file or a stock filter.
type Subject struct {
	Name   string        // of the filter, as logs have it
	File   string        // what errors call the module
	Module []byte        // nil when a project is not built yet
	Filter config.Filter // its table

	Dir  string             // of the project; empty without one
	file *config.FilterFile // nil without a filter.toml
}

// Options are what the command line adds to a subject.
type Options struct {
	Config string   // JSON, in place of the configuration
	Grants []string // given besides those of the filter.toml
}

// Find finds a filter by what the command line says: a project's directory or
// its filter.toml, a .wasm file, or stock:NAME. The module need not exist yet:
// [Open] wants it.
func Find(arg string, o Options) (*Subject, error) {
	s, err := find(arg)
	if err != nil {
		return nil, err
	}
	if o.Config != "" {
		var table map[string]any
		if err := decodeJSON([]byte(o.Config), &table); err != nil {
			return nil, fmt.Errorf("--config: %w; write a JSON object such as {\"queue\": \"orders\"}", err)
		}
		s.Filter.Config, _ = amqpValue(table).(map[string]any)
	}
	for _, grant := range o.Grants {
		if err := give(&s.Filter.Grants, grant); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Open is Find for what needs the module.
func Open(arg string, o Options) (*Subject, error) {
	s, err := Find(arg, o)
	if err != nil || s.Module != nil {
		return s, err
	}
	if s.Module, err = s.file.ReadModule(); err != nil {
		return nil, err
	}
	return s, nil
}

func find(arg string) (*Subject, error) {
	if module, ok, err := app.BuiltIn(arg); ok {
		if err != nil {
			return nil, err
		}
		return builtIn(arg, module), nil
	}
	info, err := os.Stat(arg)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(arg, "./\\"):
		return nil, fmt.Errorf("there is no %s: a filter is a project's directory, a .wasm file or stock:NAME (see `router filter list`)", arg)
	case err != nil:
		return nil, fmt.Errorf("%s: %w; a filter is a project's directory, a .wasm file or stock:NAME", arg, reason(err))
	case info.IsDir():
		return project(filepath.Join(arg, config.FilterFileName))
	case filepath.Ext(arg) == ".toml":
		return project(arg)
	}
	limit := config.Default().Filter.Limits.ModuleSize.Bytes()
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: %d bytes; a module has at most %d, unless the filter.toml beside it allows more", arg, info.Size(), limit)
	}
	module, err := os.ReadFile(arg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, reason(err))
	}
	filter := config.Default().Filter
	filter.Path = arg
	return &Subject{Name: nameOf(arg), File: arg, Module: module, Filter: filter}, nil
}

// project reads a filter.toml.
func project(path string) (*Subject, error) {
	file, _, err := config.LoadFilter(path, config.Options{})
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if module, ok, err := app.BuiltIn(file.Path); ok {
		if err != nil {
			return nil, file.Errorf([]string{"path"}, "", "%w", err)
		}
		s := builtIn(file.Path, module)
		grants := s.Filter.Grants
		s.Filter, s.Dir, s.file = file.Filter, dir, file
		if s.Filter.Grants == (config.Grants{}) {
			s.Filter.Grants = grants
		}
		return s, nil
	}
	return &Subject{
		Name: nameOf(file.Path), File: filepath.Join(dir, file.Path), Filter: file.Filter, Dir: dir, file: file,
	}, nil
}

// builtIn is a stock filter. It is trusted with the grants that it asks for.
func builtIn(path string, module []byte) *Subject {
	filter := config.Default().Filter
	filter.Path = path
	info, _ := wasmhost.Inspect(module, wasmhost.Limits{})
	for _, grant := range info.Grants {
		_ = give(&filter.Grants, grant) // they are known, or a test of ours fails
	}
	return &Subject{Name: nameOf(path), File: path, Module: module, Filter: filter}
}

// nameOf is the name of the filter that a path stands for.
func nameOf(path string) string {
	if _, stock, ok := strings.Cut(path, ":"); ok && !strings.ContainsAny(path, `/\`) {
		return stock
	}
	return strings.TrimSuffix(filepath.Base(path), ".wasm")
}

// Grants are the names that a grant may have.
func Grants() []string { return slices.Sorted(slices.Values(grantNames(config.Grants{}, true))) }

// give adds one grant.
func give(to *config.Grants, name string) error {
	text, err := json.Marshal(map[string]bool{name: true})
	if err != nil {
		return err
	}
	if !slices.Contains(Grants(), name) {
		return fmt.Errorf("there is no grant %q; the grants are %s", name, strings.Join(Grants(), ", "))
	}
	return json.Unmarshal(text, to)
}

// grantNames are the grants that are given, or all there are. The configuration
// is the one list of them.
func grantNames(g config.Grants, all bool) []string {
	var set map[string]bool
	text, err := json.Marshal(g)
	if err == nil {
		err = json.Unmarshal(text, &set)
	}
	if err != nil {
		return nil // the type has booleans only
	}
	var names []string
	for name, given := range set {
		if given || all {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// reason is the cause of a file error without the path.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// info is what the module says about itself, or why it is none that can be used.
func (s *Subject) info() (wasmhost.Info, error) {
	info, err := wasmhost.Inspect(s.Module, app.FilterConfig(s.Name, s.Filter, nil).Limits)
	if err != nil {
		return info, s.refused(err)
	}
	return info, nil
}
