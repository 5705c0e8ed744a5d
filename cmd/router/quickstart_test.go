package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every step of docs/QUICKSTART.md, from building the program to a filter that was
// changed while it ran, leads to what the page shows.
func TestTheQuickStart(t *testing.T) {
	r := newReader(t, t.TempDir())
	source := filepath.Join(r.dir, "orders", "main.go")
	seen := map[string]int{}
	for _, b := range blocks(t, "../../docs/QUICKSTART.md") {
		kind := b.Info[0]
		seen[kind]++
		switch {
		case kind == "sh" && seen[kind] == 1:
			here := r.dir
			r.dir = "../.." // the repository
			r.read(b)
			r.dir = here
		case kind == "toml":
			r.write([]string{"router.toml", "router.test.toml"}[seen[kind]-1], b.Text)
		case kind == "go":
			code, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			const after = "d.SetHeader(\"kind\", kind)\n"
			if seen[kind] == 1 {
				if !strings.Contains(string(code), b.Text) || !strings.Contains(b.Text, after) {
					t.Errorf("%s:%d: the filter is another one:\n%s", b.File, b.Line, code)
				}
				continue
			}
			if err := os.WriteFile(source, []byte(strings.Replace(string(code), after, after+b.Text, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
		default:
			r.read(b)
		}
	}
	if seen["sh"] < 8 || seen["toml"] != 2 || seen["go"] != 2 || seen["text"] < 4 {
		t.Errorf("blocks of the page: %v", seen)
	}
	r.stop()
}

// With README.md alone a newcomer comes as far: its configuration is right, and its
// own filter routes a message.
func TestTheReadmeLeadsToAFilterOfOnesOwn(t *testing.T) {
	r := newReader(t, t.TempDir())
	if err := os.Mkdir(filepath.Join(r.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(binDir, "router"), filepath.Join(r.dir, "bin", "router")); err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, b := range blocks(t, "../../README.md") {
		switch {
		case b.Info[0] == "toml" && strings.Contains(b.Text, "mine/mine.wasm"):
			r.write("mine.toml", b.Text)
		case b.Info[0] == "sh" && strings.HasPrefix(b.Text, "bin/router filter new "):
			r.read(b)
			done++
		case b.Info[0] == "sh" && strings.HasPrefix(b.Text, "bin/router run -c mine.toml "):
			first, rest, _ := strings.Cut(b.Text, "\n")
			r.run(strings.Fields(first)[2:4]...)
			r.commands(b, rest)
			done++
		}
	}
	if done != 2 {
		t.Fatalf("%d blocks of README.md are about a filter of one's own", done)
	}
	for _, want := range []string{`header kind: "hello"`, `{"type": "hello"}`} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %s in what is printed:\n%s", want, r.out)
		}
	}
	r.stop()
}
