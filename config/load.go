package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// MaxFileSize is the most bytes of a configuration file.
const MaxFileSize = 1 * MiB

// Options changes how Load reads. The zero Options is what one wants outside
// of tests.
type Options struct {
	// Env looks up environment variables; nil is os.LookupEnv.
	Env func(name string) (value string, ok bool)

	open func(path string) (*os.File, error) // nil is openFile
}

// Load reads the file at path. The error is [Errors]; warnings come with and
// without one, in the order of their positions.
func Load(path string, o Options) (*Config, []Warning, error) {
	data, mode, err := readFile(openFile(path))(MaxFileSize.Bytes())
	if err != nil {
		return nil, nil, Errors{{File: path, Problem: "cannot read the file: " + reason(err), Hint: "name the configuration file", Err: err}}
	}
	c, warnings, err := parse(path, data, filepath.Dir(path), o)
	if err == nil && mode.Perm()&0o004 != 0 {
		for _, keys := range c.literalSecrets() {
			warnings = append(warnings, Warning{*c.doc.error(keys, problem{
				"every user of this machine can read this secret", "chmod o-r the file, or use ${env:NAME} or ${file:PATH}",
			})})
		}
		sortByPosition(warnings, func(w Warning) *Error { return &w.Error })
	}
	return c, warnings, err
}

// Parse reads data as Load reads a file. Name stands for the file in errors;
// relative paths are relative to dir. The error is [Errors].
func Parse(name string, data []byte, dir string) (*Config, []Warning, error) {
	return parse(name, data, dir, Options{})
}

func parse(name string, data []byte, dir string, o Options) (*Config, []Warning, error) {
	doc, tree, e := parseDocument(name, data, dir)
	if e != nil {
		return nil, nil, Errors{e}
	}
	b := newBinder(doc, o)
	c := &b.preset.Config
	b.structure(nil, tree, reflect.ValueOf(c).Elem())
	c.complete(b)
	c.check(b)
	sortByPosition(b.warnings, func(w Warning) *Error { return &w.Error })
	if len(b.errors) > 0 {
		sortByPosition(b.errors, func(e *Error) *Error { return e })
		return nil, b.warnings, b.errors
	}
	c.doc = doc
	return c, b.warnings, nil
}

// parseDocument makes a tree of a TOML text, with the positions of its keys.
func parseDocument(name string, data []byte, dir string) (*document, map[string]any, *Error) {
	text := strings.TrimPrefix(string(data), "\xef\xbb\xbf")
	doc := &document{name: name, dir: dir, root: &node{}, lines: newLines(text), hidden: map[string]bool{}}
	if absolute, err := filepath.Abs(dir); err == nil {
		doc.dir = absolute
	}
	if e := doc.readable(text); e != nil {
		return nil, nil, e
	}
	root, tooDeep := scan(text)
	if tooDeep >= 0 {
		return nil, nil, doc.offsetError(tooDeep, problem{fmt.Sprintf("nested more than %d deep", maxDepth), "use fewer levels"})
	}
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		return nil, nil, doc.syntaxError(text, err)
	}
	if n := root.twofold(); n != nil { // the library takes it, and loses keys
		return nil, nil, doc.offsetError(n.offset, problem{"an array cannot get keys as a table does", "write a [table], or [[a table]] for each element"})
	}
	doc.root = root
	return doc, tree, nil
}

func newBinder(doc *document, o Options) *binder {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.open == nil {
		o.open = openFile
	}
	return &binder{doc: doc, options: o, preset: Default(), failed: map[string]bool{}}
}

func sortByPosition[T any](list []T, of func(T) *Error) {
	slices.SortStableFunc(list, func(a, b T) int {
		x, y := of(a), of(b)
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Col, y.Col), cmp.Compare(x.Key, y.Key), cmp.Compare(x.Problem, y.Problem))
	})
}

// document is what is kept of the text of a Config: where its keys are, and
// which of them hold what was interpolated.
type document struct {
	name, dir string // dir is absolute
	root      *node
	lines     *lines
	hidden    map[string]bool // by join
}

// join makes one string of a path, for use as a map's key.
func join(path []string) string { return strings.Join(path, "\x00") }

// find returns the node of a path, or the last one on the way to it.
func (d *document) find(path []string) (n *node, all bool) {
	n = d.root
	for _, key := range path {
		next := n.at(key)
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

// render writes a path as one does in TOML, with indices in brackets.
func (d *document) render(path []string) string {
	var b strings.Builder
	n := d.root
	for i, key := range path {
		switch _, err := strconv.Atoi(key); {
		case n != nil && n.items != nil && err == nil:
			b.WriteString("[" + key + "]")
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(renderKey(key))
		}
		n = n.at(key)
	}
	return b.String()
}

func renderKey(key string) string {
	for _, r := range key {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", r) {
			return quote(key)
		}
	}
	if key == "" {
		return `""`
	}
	return clip(key)
}

func (d *document) error(path []string, p problem) *Error {
	n, _ := d.find(path)
	e := d.offsetError(n.offset, p)
	e.Key = d.render(path)
	return e
}

func (d *document) offsetError(offset int, p problem) *Error {
	line, col := d.lines.at(offset)
	return &Error{File: d.name, Line: line, Col: col, Problem: p.text, Hint: p.hint}
}

// readable refuses what is no text at all.
func (d *document) readable(text string) *Error {
	if Size(len(text)) > MaxFileSize {
		return d.offsetError(0, problem{errTooLarge.Error(), "the limit is " + MaxFileSize.String()})
	}
	for i, r := range text {
		size := 1
		if r == utf8.RuneError {
			_, size = utf8.DecodeRuneInString(text[i:])
		}
		if r == utf8.RuneError && size == 1 {
			return d.offsetError(i, problem{"not UTF-8 text", "save the file as UTF-8"})
		}
		if r < ' ' && r != '\t' && r != '\n' && (r != '\r' || i+1 == len(text) || text[i+1] != '\n') || r == 0x7f {
			hint := fmt.Sprintf(`write \u%04x in a string, if it is meant`, r)
			if r == '\r' {
				hint = "end lines with LF or CR LF"
			}
			return d.offsetError(i, problem{fmt.Sprintf("control character 0x%02x", r), hint})
		}
	}
	return nil
}

// Position returns where a key was written: the column of its value, or of the
// name in a table's header. An index in an array is given as a decimal number.
func (c *Config) Position(keys ...string) (line, col int, ok bool) {
	if c.doc == nil {
		return 0, 0, false
	}
	n, all := c.doc.find(keys)
	if !all || len(keys) == 0 {
		return 0, 0, false
	}
	line, col = c.doc.lines.at(n.offset)
	return line, col, true
}

// Errorf returns an error at the position of a key, or of the nearest table
// above it that was written. Hint may be empty; %w in format is kept for
// errors.Is. It is meant for what only the application can judge.
func (c *Config) Errorf(keys []string, hint, format string, args ...any) *Error {
	doc := c.doc
	if doc == nil {
		doc = &document{root: &node{}, lines: newLines("")}
	}
	return doc.errorf(keys, hint, format, args...)
}

func (d *document) errorf(keys []string, hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := d.error(keys, problem{err.Error(), hint})
	e.Err = errors.Unwrap(err)
	return e
}

// File returns the name given to Load or Parse.
func (c *Config) File() string {
	if c.doc == nil {
		return ""
	}
	return c.doc.name
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
