package workbench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/wasmrouter/router/filters"
)

var goodName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// Project is a new project.
type Project struct {
	Name     string   `json:"name"`
	Language string   `json:"language"`
	Dir      string   `json:"dir"`
	Files    []string `json:"files"` // sorted
}

// WriteText writes what there is now and what to do next.
func (p *Project) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, `%s: a filter in %s, %d files
next:
  cd %s
  router filter build
  router filter test
  router filter check
`, p.Dir, p.Language, len(p.Files), p.Dir)
	return err
}

// Scaffold writes a new project called name in a language: a filter that works,
// its SDK, golden cases and what to do next. Dir is the project's directory;
// empty is one called like the filter. It must not exist, or be empty.
func Scaffold(lang, name, dir string) (*Project, error) {
	l, err := languageNamed(lang)
	if err != nil {
		return nil, err
	}
	if !goodName.MatchString(name) {
		return nil, fmt.Errorf("%q is not a good name: use at most 64 small letters, digits, hyphens and underscores, a letter first", name)
	}
	if dir == "" {
		dir = name
	}
	files, err := projectFiles(l, name)
	if err != nil {
		return nil, err
	}
	written, err := writeProject(dir, files)
	if err != nil {
		return nil, err
	}
	return &Project{Name: name, Language: l.Title, Dir: dir, Files: written}, nil
}

// projectFiles are the files of a new project, by their paths in it.
func projectFiles(l Language, name string) (map[string][]byte, error) {
	files := map[string][]byte{}
	fill := strings.NewReplacer("{{name}}", name, "{{language}}", l.Title)
	sources := filters.Sources()
	for _, from := range []string{"template/common", "template/" + l.Name} {
		err := eachFile(sources, from, func(file string, data []byte) {
			files[strings.TrimSuffix(file, ".tmpl")] = []byte(fill.Replace(string(data)))
		})
		if err != nil {
			return nil, err
		}
	}
	const ours = "github.com/wasmrouter/router/filters/sdk/go/"
	err := eachFile(sources, "sdk/"+l.sdk, func(file string, data []byte) {
		if strings.HasSuffix(file, "_test.go") || slices.Contains(strings.Split(path.Dir(file), "/"), "testdata") {
			return
		}
		if l.Name == "go" {
			data = bytes.ReplaceAll(data, []byte(ours), []byte("example.com/"+name+"/sdk/"))
		}
		files["sdk/"+file] = data
	})
	return files, err
}

// eachFile visits the files below a directory, with their paths from there.
func eachFile(fsys fs.FS, dir string, visit func(file string, data []byte)) error {
	return fs.WalkDir(fsys, dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, file)
		if err == nil {
			visit(strings.TrimPrefix(file, dir+"/"), data)
		}
		return err
	})
}

// writeProject writes the files into a directory of their own, and takes back
// what it wrote when it cannot write all of them.
func writeProject(dir string, files map[string][]byte) (written []string, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("%s exists and holds %s; nothing is overwritten: name another with --dir", dir, entries[0].Name())
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", dir, reason(err))
	}
	defer func() {
		if err == nil {
			return
		}
		for _, file := range written {
			_ = os.Remove(file) // what cannot be removed is shown by the next attempt
		}
		written = nil
	}()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return written, fmt.Errorf("%s: %w", filepath.Dir(file), reason(err))
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return written, fmt.Errorf("%s: %w", file, reason(err))
		}
		written = append(written, file)
		_, err = f.Write(files[name])
		if err := errors.Join(err, f.Close()); err != nil {
			return written, fmt.Errorf("%s: %w", file, reason(err))
		}
	}
	return written, nil
}
