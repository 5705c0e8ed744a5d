package mutants

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// edit replaces text of a source file, wherever it is there.
type edit struct{ file, old, new string }

// build builds the router with some of its sources changed, and returns the binary. The
// product itself has no switch for its mistakes.
func build(t *testing.T, edits ...edit) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for _, e := range edits {
		source := filepath.Join(root, filepath.FromSlash(e.file))
		changed, there := overlay.Replace[source]
		if !there {
			changed = filepath.Join(dir, strings.ReplaceAll(e.file, "/", "-"))
			overlay.Replace[source] = changed
		}
		from := source
		if there {
			from = changed
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), e.old) {
			t.Fatalf("%s no longer has the text that this mutant changes; write the mutant anew:\n%s", e.file, e.old)
		}
		if err := os.WriteFile(changed, []byte(strings.ReplaceAll(string(text), e.old, e.new)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	path, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "router")
	if err := os.WriteFile(path, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", path, "-o", binary, "github.com/wasmrouter/router/cmd/router")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the mutant: %v\n%s", err, out)
	}
	return binary
}
