package workbench

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/internal/doctest"
	"github.com/wasmrouter/router/router"
)

// eachLanguage tries a new project of each language.
func eachLanguage(t *testing.T, try func(t *testing.T, l Language, dir string)) {
	for _, l := range Languages() {
		t.Run(l.Name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "orders")
			if _, err := Scaffold(l.Name, "orders", dir); err != nil {
				t.Fatal(err)
			}
			try(t, l, dir)
		})
	}
}

func TestFiltersOfTemplatesHaveTwentyLines(t *testing.T) {
	eachLanguage(t, func(t *testing.T, l Language, dir string) {
		found, sources, err := detect(dir)
		if err != nil || found.Name != l.Name || len(sources) != 1 {
			t.Fatalf("%s is found with %q, %v", found.Name, sources, err)
		}
		lines := 0
		for line := range strings.Lines(readFile(t, filepath.Join(dir, sources[0]))) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, ";;") {
				lines++
			}
		}
		if lines > 20 {
			t.Errorf("%s has %d lines, blank ones and comments not counted; 20 are promised", sources[0], lines)
		}
	})
}

// What the project says about itself can be copied to a router.toml.
func TestTablesOfProjectsFitIntoRouterTOML(t *testing.T) {
	const route = "[routes.r]\nlisten = \"q\"\nsend = [\"queue:x\"]\nfilters = [\"orders\"]\nallow = [\"queue:*\"]\n"
	dir := filepath.Join(t.TempDir(), "orders")
	if _, err := Scaffold("c", "orders", dir); err != nil {
		t.Fatal(err)
	}
	table := readFile(t, filepath.Join(dir, config.FilterFileName))
	if strings.Contains(table, "{{") {
		t.Errorf("a placeholder is left in:\n%s", table)
	}
	for _, comments := range []bool{true, false} {
		if !comments { // the defaults that it shows are keys, too
			table = strings.NewReplacer("# limits =", "limits =", "# grants =", "grants =").Replace(table)
		}
		if _, warnings, err := config.Parse("router.toml", []byte("[filters.orders]\n"+table+route), dir); err != nil || warnings != nil {
			t.Errorf("%v, %v\n%s", warnings, err, table)
		}
	}
	blocks, err := doctest.Language("toml", filepath.Join(dir, "README.md"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	if _, warnings, err := config.Parse("router.toml", []byte(blocks[0].Text+route), dir); err != nil || warnings != nil {
		t.Errorf("%v, %v\n%s", warnings, err, blocks[0].Text)
	}
}

// The same sources give the same module wherever they lie.
func TestBuildsAreReproducible(t *testing.T) {
	eachLanguage(t, func(t *testing.T, l Language, dir string) {
		other := filepath.Join(t.TempDir(), "some", "where", "else")
		if _, err := Scaffold(l.Name, "orders", other); err != nil {
			t.Fatal(err)
		}
		var messages bytes.Buffer
		one, err := Build(t.Context(), dir, BuildOptions{Messages: &messages})
		if err != nil {
			t.Fatalf("%v\n%s", err, &messages)
		}
		two, err := Build(t.Context(), other, BuildOptions{Messages: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if messages.Len() > 0 {
			t.Errorf("the compiler has something to say about the template:\n%s", &messages)
		}
		if one.SHA256 != two.SHA256 {
			t.Errorf("two builds have the sums %s and %s", one.SHA256, two.SHA256)
		}
		tellTextFromBytes(t, dir)
	})
}

// tellTextFromBytes tests what each SDK sets a header to: a text, or bytes when
// it is not UTF-8.
func tellTextFromBytes(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := bench.load(t.Context(), s, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for _, text := range []string{
		"", "plain", "\x7f", "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x80", "\xc2\x41", "\xdf\xbf", "\xe0\x9f\xbf", "\xe0\xa0\x80", "a\xe2\x82",
		"\xed\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80\x80", "\xf0\x90\x80", "\xf4\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "grün \xf0\x9f\x98\x80 and more of it \xe2\x82\xac", "eight by\xc3tes",
	} {
		out, err := try(t.Context(), l.instance, []router.Stage{router.Decide}, &Message{body: []byte(`{"type":"` + text + `"}`)})
		if err != nil || out.Err != nil {
			t.Errorf("%q: %v, %v", text, err, out.Err)
			continue
		}
		var want any = text
		if !utf8.ValidString(text) {
			want = []byte(text)
		}
		got, _ := out.After.Header("kind")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// A router that reads the module meanwhile gets the old one or the new one.
func TestModulesAreReplacedWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "m.wasm")
	if err := replace(file, []byte("old")); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := replace(file, []byte("new")); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(open)
	if err != nil || string(text) != "old" || readFile(t, file) != "new" {
		t.Errorf("who had it open reads %q, %v; who opens it %q", text, err, readFile(t, file))
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files are left, %v", len(entries), err)
	}
	if err := replace(filepath.Join(file, "below"), nil); err == nil {
		t.Error("a file has become a directory")
	}
}
