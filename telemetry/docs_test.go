package telemetry_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const page = "../docs/OBSERVE.md"

// section returns what the page has between two marks.
func section(t *testing.T, mark string) string {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(raw), "<!-- "+mark+" -->\n")
	text, _, ended := strings.Cut(rest, "<!-- end of "+mark+" -->")
	if !begun || !ended {
		t.Fatalf("%s has no section %s", page, mark)
	}
	return text
}

// What a log line's keys are called is what people search by: a new one has to be
// written down, and one that is gone taken out.
func TestTheKeysOfTheLogAreDocumented(t *testing.T) {
	used := map[string]token.Position{}
	files := token.NewFileSet()
	for _, root := range []string{"admin", "amqp", "app", "broker", "cmd", "oslo", "pool", "router", "rpc", "telemetry", "transport", "waiter", "wasmhost"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
				return err
			}
			f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					for _, key := range keys(call) {
						used[key] = files.Position(call.Pos())
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section(t, "log keys"), -1) {
		documented[m[1]] = true
	}
	for key, at := range used {
		if !documented[key] {
			t.Errorf("%s: the key %q is not in the table of %s", at, key, page)
		}
	}
	for key := range documented {
		if _, ok := used[key]; !ok {
			t.Errorf("%s: the key %q is in no line", page, key)
		}
	}
	if len(used) < 30 {
		t.Errorf("found %d keys", len(used))
	}
}

var attrs = []string{"Any", "Bool", "Duration", "Float64", "Group", "Int", "Int64", "String", "Time", "Uint64"}

// keys returns the keys of a log line or attribute that a call makes.
func keys(call *ast.CallExpr) (list []string) {
	fn, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return nil
	}
	of, _ := fn.X.(*ast.Ident)
	pairs := call.Args
	switch fn.Sel.Name {
	case "Debug", "Info", "Warn", "Error":
		if of != nil && (of.Name == "http" || of.Name == "codes") {
			return nil
		}
		pairs = call.Args[1:]
	case "With":
	default:
		if of == nil || of.Name != "slog" || !slices.Contains(attrs, fn.Sel.Name) {
			return nil
		}
		pairs = call.Args[:1]
	}
	for i := 0; i < len(pairs); i++ {
		lit, ok := pairs[i].(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			continue // an attribute of its own, or the value behind a key
		}
		key, _ := strconv.Unquote(lit.Value)
		list = append(list, key)
		i++
	}
	return list
}
