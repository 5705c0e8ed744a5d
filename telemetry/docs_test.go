package telemetry_test

import (
	"fmt"
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

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmrouter/router/telemetry"
)

const page = "../docs/OBSERVE.md"

// section returns what the page has between two marks, and with -update puts text
// there.
func section(t *testing.T, mark, text string) string {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+mark+" -->\n", "<!-- end of "+mark+" -->"
	before, rest, ok := strings.Cut(string(raw), begin)
	now, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("%s has no section %s", page, mark)
	}
	if *update && text != "" {
		if err := os.WriteFile(page, []byte(before+begin+text+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return text
	}
	return now
}

var described = regexp.MustCompile(`^Desc\{fqName: (".*?"), help: (".*"), unit: ".*", constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

func TestTheMetricsAreDocumented(t *testing.T) {
	descs := make(chan *prometheus.Desc, 1000)
	telemetry.NewCollector(everything(), build).Describe(descs)
	close(descs)
	var rows []string
	for d := range descs {
		parts := described.FindStringSubmatch(d.String())
		if parts == nil {
			t.Fatalf("%s", d)
		}
		name, err1 := strconv.Unquote(parts[1])
		help, err2 := strconv.Unquote(parts[2])
		if err1 != nil || err2 != nil || help == "" {
			t.Fatalf("%s: %v, %v", d, err1, err2)
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", name, strings.ReplaceAll(parts[3], ",", ", "), help))
	}
	slices.Sort(rows)
	want := "| Metric | Labels | What it is |\n|---|---|---|\n" + strings.Join(slices.Compact(rows), "")
	if diff := cmp.Diff(want, section(t, "metrics", want)); diff != "" {
		t.Errorf("run go test ./telemetry -update; %s (-want +got):\n%s", page, diff)
	}
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
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section(t, "log keys", ""), -1) {
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
