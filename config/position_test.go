package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// TestPositionsAreWhereTheValuesBegin writes each value as a text of its own,
// so that the position found can be compared with where it stands.
func TestPositionsAreWhereTheValuesBegin(t *testing.T) {
	text := "a = \"@0\"\n  b.c = '@1' # \"@\"\n[t.\"ü.x\"]\nü = \"\"\"é\n@2\"\"\"\n'k' = [ # [\n \"@3\", [\"@4\", {x = \"@5\", y.z = '@6'}],\n]\n[[l]]\nv=1979-05-27 07:32:00Z\n[[l]]\nv = \"@7\"\n[l.m]\nv = \"@8\"\r\n"
	text = strings.ReplaceAll(text, "ü =", "\"ü\" =")
	root, deep := scan(text)
	if deep >= 0 {
		t.Fatal(deep)
	}
	doc := &document{root: root, lines: newLines(text)}
	for i, path := range []string{"a", "b/c", "t/ü.x/ü", "t/ü.x/k/0", "t/ü.x/k/1/0", "t/ü.x/k/1/1/x", "t/ü.x/k/1/1/y/z", "l/1/v", "l/1/m/v"} {
		n, ok := doc.find(strings.Split(path, "/"))
		if !ok {
			t.Errorf("%s has no position", path)
			continue
		}
		end := strings.Index(text, "@"+string(rune('0'+i)))
		between := text[n.offset:end]
		if strings.Trim(between, "\"'é\n") != "" {
			t.Errorf("%s: found %q before it", path, between)
		}
		line, col := doc.lines.at(n.offset)
		lines := strings.Split(text, "\n")
		if got := string([]rune(lines[line-1])[col-1:]); !strings.HasPrefix(got, between[:1]) || strings.Count(text[:n.offset], "\n") != line-1 {
			t.Errorf("%s: %d:%d is %q", path, line, col, got)
		}
	}
}

func TestATablesPositionIsItsOwnHeader(t *testing.T) {
	c := mustParse(t, "[queues.q.arguments]\nx = 1\n[queues.q]\ndurable = true\n[queues]\n")
	for path, want := range map[string][2]int{"queues": {5, 2}, "queues/q": {3, 9}, "queues/q/arguments": {1, 11}} {
		if line, col, ok := c.Position(strings.Split(path, "/")...); !ok || line != want[0] || col != want[1] {
			t.Errorf("%s: %d:%d, %v, want %v", path, line, col, ok, want)
		}
	}
}

func TestUnknownWordsOfTheLibraryAreNotPassedOn(t *testing.T) {
	text := "a = 1\nb = 2\n"
	doc := &document{name: "x", root: &node{}, lines: newLines(text)}
	for _, err := range []error{
		toml.ParseError{Message: "found " + canary, Position: toml.Position{Start: 8}},
		toml.ParseError{Message: canary + " is out of range for int64", Position: toml.Position{Start: 8}},
		errors.New(canary),
		toml.ParseError{Message: canary, Position: toml.Position{Start: 99}},
		toml.ParseError{Message: canary, Position: toml.Position{Start: -1}},
	} {
		e := doc.syntaxError(text, err)
		if strings.Contains(e.Error(), canary) || e.Line < 1 || e.Line > 3 || e.Col < 1 {
			t.Error(e)
		}
	}
}
