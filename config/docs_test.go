package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wasmrouter/router/internal/doctest"
)

// compiledSchema is the schema as an editor uses it.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(Schema())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("router.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("router.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate tests a TOML text against the schema.
func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		return err
	}
	data, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

// documented sets every variable and has every file, as the readers of an
// example may have them.
func documented(t *testing.T) Options {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{
		Env:  func(string) (string, bool) { return "", true },
		open: func(string) (*os.File, error) { return os.Open(secret) },
	}
}

func TestTheSchemaBesideTheExampleIsTheEmbeddedOne(t *testing.T) {
	data, err := os.ReadFile("../router.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != string(Schema()) {
		t.Error("they differ; run go run ./internal/gen")
	}
}

func TestEveryTOMLFileLoadsAndFitsTheSchema(t *testing.T) {
	files := []string{"../router.toml"}
	for _, dir := range []string{"../docs", "../examples", "../deploy"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			switch filepath.Base(path) {
			case "filter.toml", "Cargo.toml": // other kinds of files
			default:
				if filepath.Ext(path) == ".toml" {
					files = append(files, path)
				}
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	s := compiledSchema(t)
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, CasesSuffix) {
				if _, err := LoadCases(file); err != nil {
					t.Error(err)
				}
				return
			}
			_, warnings, err := parse(file, data, filepath.Dir(file), documented(t))
			if err != nil {
				t.Error(err)
			}
			for _, w := range warnings {
				// A package's configuration is one to begin with.
				if !strings.Contains(file, "/package/") || w.Key != "routes" {
					t.Error(w)
				}
			}
			if err := validate(t, s, string(data)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEveryTOMLBlockOfTheDocumentation loads each block as a file of its own.
// After the word toml, bad says that the block must be refused, and fragment
// that keys which are required may be missing, cases that it is a file for router
// test. Other words are errors, so that no block can be left out by mistake.
func TestEveryTOMLBlockOfTheDocumentation(t *testing.T) {
	paths := []string{"../docs"}
	for _, path := range []string{"../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md", "../filters", "../examples", "../deploy"} {
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	blocks, err := doctest.Language("toml", paths...)
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) == 0 {
		t.Fatal("no block found")
	}
	s := compiledSchema(t)
	for _, b := range blocks {
		_, _, err := parse(b.File, []byte(strings.Repeat("\n", b.Line-1)+b.Text), filepath.Dir(b.File), documented(t))
		switch kind := strings.Join(b.Info[1:], " "); kind {
		case "":
			if err != nil {
				t.Error(err)
			}
			if err := validate(t, s, b.Text); err != nil {
				t.Errorf("%s:%d: %v", b.File, b.Line, err)
			}
		case "fragment":
			all, _ := errors.AsType[Errors](err)
			if all = slices.DeleteFunc(all, forgiven); len(all) > 0 {
				t.Error(all)
			}
		case "cases":
			if _, err := ParseCases(b.File, []byte(b.Text), filepath.Dir(b.File)); err != nil {
				t.Error(err)
			}
		case "bad":
			if err == nil {
				t.Errorf("%s:%d: not refused", b.File, b.Line)
			}
		default:
			t.Errorf("%s:%d: %q after toml is not known", b.File, b.Line, kind)
		}
	}
}

// forgiven tells whether an error only says that a fragment is none of a whole
// file.
func forgiven(e *Error) bool {
	return e.Problem == "missing" || strings.HasPrefix(e.Problem, "there is no filter") || e.Problem == "sends messages nowhere"
}

func TestTheSchemaRefusesWhatOneKeyTells(t *testing.T) {
	s := compiledSchema(t)
	for _, name := range []string{
		"array_of_tables", "array_of_tables_bindings", "bom_first_line", "dotted_keys", "durations", "enums", "inline_tables",
		"many_at_once", "missing_required", "ranges", "sizes", "unicode", "unknown_key", "unknown_tables", "wrong_types",
	} {
		data, err := os.ReadFile("testdata/bad/" + name + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		if validate(t, s, string(data)) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTheSchemaAgreesWithTheUnits(t *testing.T) {
	s := compiledSchema(t)
	for _, text := range []string{
		"30s", "1m30s", "200ms", "1.5h", ".5s", "1.s", "0", "0s", "+1s", "1us", "1\u00b5s", "1\u03bcs", "", "10", "-1s", "1 s", "1d", "s", "1s1", " 1s", "1s ",
		"0B", "1500B", "4KiB", "4 MiB", "3kB", "3KB", "1MB", "4", "4M", "MiB", "-1B", "1.5MiB", "4  MiB", "+4B", "0x4B", "4mib",
	} {
		if got, want := validate(t, s, "broker.heartbeat = \""+text+"\"") == nil, new(Duration).UnmarshalText([]byte(text)) == nil; got != want {
			t.Errorf("duration %q: the schema says %v, the type %v", text, got, want)
		}
		if got, want := validate(t, s, "filters.f = { path = \"x\", limits.memory = \""+text+"\" }") == nil, new(Size).UnmarshalText([]byte(text)) == nil; got != want {
			t.Errorf("size %q: the schema says %v, the type %v", text, got, want)
		}
	}
}
