package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.toml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range append(files, "../router.toml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{full, "a.b.c=[{d=1},{d.e=2}]", "[[a]]\n[a.b]\n[[a]]\n[[a.c]]\n", "\"\\u0061\".'b' = 1", "a = \"\"\"\"\"\"\"\"", "x = [ # ]\n]", "[a]\nb.c = 1\n[a.d]"} {
		f.Add([]byte(text))
	}
	options := Options{Env: testEnv, open: func(string) (*os.File, error) { return nil, os.ErrNotExist }}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, warnings, err := parse("router.toml", data, "testdata", options)
		if (c == nil) == (err == nil) {
			t.Fatalf("configuration %v, error %v", c != nil, err)
		}
		everyErrorHasItsPlace(t, "router.toml", data, warnings, err)
		everyKeyHasItsPosition(t, strings.TrimPrefix(string(data), "\ufeff"))
		if c != nil {
			dump(t, c)
		}
	})
}

// FuzzParseFilter is FuzzParse for the file of a filter project.
func FuzzParseFilter(f *testing.F) {
	for _, text := range []string{
		"path = \"f.wasm\"\n[limits]\nmodule_size = \"1MiB\"\n",
		"path = \"stock:cbor\"\nsha256 = \"00\"\n[config]\ndecode = \"json-to-cbor\"\nkey = \"${file:key}\"\n",
		"path = \"../f.wasm\"\n[grants]\nkv = 1\n[limit]\n", "config = []", "path = \"\"\n[limits]\ncall_time = \"-1s\"\nmemory = \"1\"",
	} {
		f.Add([]byte(text))
	}
	options := Options{Env: testEnv, open: func(string) (*os.File, error) { return nil, os.ErrNotExist }}
	f.Fuzz(func(t *testing.T, data []byte) {
		filter, warnings, err := parseFilter("filter.toml", data, "testdata", options)
		if (filter == nil) == (err == nil) {
			t.Fatalf("filter %v, error %v", filter != nil, err)
		}
		everyErrorHasItsPlace(t, "filter.toml", data, warnings, err)
	})
}

// FuzzParseCases is FuzzParse for files with cases.
func FuzzParseCases(f *testing.F) {
	for _, text := range []string{
		"[[case]]\nname = \"n\"\ngiven.body = { a = [1, \"${x}\"] }\nexpect.absent = [\"text:x\", \"y\"]\n[[case.expect.sent]]\nheaders = { a = 1 }\n",
		"[[case]]\nname = \"n\"\nbefore = [{ body_base64 = \"?\" }]\ngiven.oslo = { method = \"m\", event_type = \"e\" }\n", "case = 1", "[case]",
		"[[case]]\nexpect.messages = -1\ngiven = { body_file = \"/x\", body = \"\" }",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cases, err := ParseCases("r.test.toml", data, "testdata")
		if (cases == nil) == (err == nil) {
			t.Fatalf("cases %v, error %v", cases != nil, err)
		}
		everyErrorHasItsPlace(t, "r.test.toml", data, nil, err)
	})
}

// everyErrorHasItsPlace checks that errors and warnings say what is wrong, what to
// do about it and where, without a character that a terminal would act on.
func everyErrorHasItsPlace(t *testing.T, file string, data []byte, warnings []Warning, err error) {
	t.Helper()
	all, _ := errors.AsType[Errors](err)
	if err != nil && len(all) == 0 {
		t.Fatalf("error %T", err)
	}
	for _, w := range warnings {
		all = append(all, &w.Error)
	}
	written := strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n")
	for _, e := range all {
		switch {
		case e.File != file || e.Problem == "" || e.Hint == "":
			t.Errorf("%#v", e)
		case e.Line < 1 || e.Line > len(written) || e.Col < 1 || e.Col > utf8.RuneCountInString(written[e.Line-1])+1:
			t.Errorf("position outside the text: %v", e)
		case strings.ContainsFunc(e.Error(), unicode.IsControl):
			t.Errorf("a control character in %q", e.Error())
		}
	}
}

// everyKeyHasItsPosition compares the scanner with the TOML library.
func everyKeyHasItsPosition(t *testing.T, text string) {
	root, tooDeep := scan(text)
	var tree map[string]any
	if tooDeep >= 0 || len(text) > 1<<16 {
		return
	}
	if _, err := toml.Decode(text, &tree); err != nil || root.twofold() != nil {
		return
	}
	var walk func(value any, n *node, path string)
	walk = func(value any, n *node, path string) {
		if n == nil {
			t.Fatalf("%s has no position", path)
		}
		switch v := value.(type) {
		case map[string]any:
			if len(v) != len(n.keys) {
				t.Errorf("%s: %d keys, %d positions", path, len(v), len(n.keys))
			}
			for key, item := range v {
				walk(item, n.keys[key], path+"."+key)
			}
		case []map[string]any:
			for i, item := range v {
				if i >= len(n.items) {
					t.Fatalf("%s[%d] has no position", path, i)
				}
				walk(item, n.items[i], path+"[]")
			}
		case []any:
			if len(v) != len(n.items) {
				t.Fatalf("%s: %d elements, %d positions", path, len(v), len(n.items))
			}
			for i, item := range v {
				walk(item, n.items[i], path+"[]")
			}
		}
	}
	walk(tree, root, "")
}
