package workbench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/wasmrouter/router/config"
)

// BuildOptions say where a build's output goes.
type BuildOptions struct {
	Messages io.Writer // gets what compilers write, as it is
	Commands io.Writer // gets the commands that are run; nil is not wanted
}

// Built is a module that was built.
type Built struct {
	Language string `json:"language"`
	Module   string `json:"module"` // its path
	Bytes    int    `json:"bytes"`
	SHA256   string `json:"sha256"`
}

// WriteText writes it for people.
func (b *Built) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s: %s, %d bytes, sha256 %s\n", b.Module, b.Language, b.Bytes, b.SHA256)
	return err
}

// Build compiles a project with its language's compiler: the same sources and
// toolchain give the same bytes wherever they lie. A module that was there is
// replaced only by one that is whole.
func Build(ctx context.Context, arg string, o BuildOptions) (*Built, error) {
	s, err := Find(arg, Options{})
	switch {
	case err != nil:
		return nil, err
	case s.Dir == "":
		return nil, fmt.Errorf("%s has no source; a project is a directory with a %s", arg, config.FilterFileName)
	case s.Module != nil:
		return nil, fmt.Errorf("%s: path = %q is built in; there is nothing to build", s.file.File(), s.Filter.Path)
	}
	l, sources, err := detect(s.Dir)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "router-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	b := &builder{ctx: ctx, language: l, name: s.Name, dir: s.Dir, sources: sources, tmp: tmp, out: filepath.Join(tmp, "filter.wasm"), options: o}
	if err := l.build(b); err != nil {
		return nil, err
	}
	module, err := os.ReadFile(b.out)
	if err != nil {
		return nil, fmt.Errorf("the compiler left no module: %w", reason(err))
	}
	if err := replace(s.File, module); err != nil {
		return nil, fmt.Errorf("%s: %w", s.File, reason(err))
	}
	sum := sha256.Sum256(module)
	return &Built{Language: l.Title, Module: s.File, Bytes: len(module), SHA256: hex.EncodeToString(sum[:])}, nil
}

// replace writes a file whole or not at all.
func replace(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".router-build-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// builder is one build. Commands run in the project's directory, so that the
// paths they are given, and may put into the module, are the same everywhere.
type builder struct {
	ctx      context.Context
	language Language
	name     string   // of the filter
	dir      string   // of the project
	sources  []string // files in dir
	tmp      string   // an empty directory
	out      string   // the module to make, in tmp
	options  BuildOptions
	filter   func(line string) string // of a compiler's messages; nil leaves them
}

// run runs one compiler to its end.
func (b *builder) run(env []string, name string, args ...string) error {
	if b.options.Commands != nil {
		fmt.Fprintln(b.options.Commands, shell(append(append(env, name), args...)))
	}
	var messages strings.Builder
	cmd := exec.CommandContext(b.ctx, name, args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &messages, &messages
	err := cmd.Run()
	for line := range strings.Lines(messages.String()) {
		if b.filter != nil {
			line = b.filter(line)
		}
		if b.options.Messages != nil {
			_, _ = io.WriteString(b.options.Messages, line) // nobody is there to be told
		}
	}
	switch {
	case b.ctx.Err() != nil:
		return context.Cause(b.ctx)
	case err != nil:
		return &toolError{name, messages.String(), err}
	}
	return nil
}

// toolError is a compiler that found something wrong.
type toolError struct {
	tool, messages string
	err            error
}

func (e *toolError) Error() string {
	return fmt.Sprintf("%s: %v; its messages say what is wrong", filepath.Base(e.tool), e.err)
}

func (e *toolError) Unwrap() error { return e.err }

// says reports whether a compiler's messages hold one of the texts.
func says(err error, texts ...string) bool {
	e, ok := errors.AsType[*toolError](err)
	if !ok {
		return false
	}
	for _, text := range texts {
		if strings.Contains(e.messages, text) {
			return true
		}
	}
	return false
}

// shell writes a command as one types it.
func shell(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		name, value, isEnv := strings.Cut(w, "=")
		if strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:@%,") == "" && w != "" {
			continue
		}
		quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
		if isEnv && i < len(words)-1 && name == strings.ToUpper(name) {
			quoted[i] = name + "=" + quote(value)
			continue
		}
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}
