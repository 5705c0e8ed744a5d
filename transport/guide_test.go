package transport_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/internal/doctest"
)

// TestTheGuidesCodeIsThatOfTheExamples, which are run.
func TestTheGuidesCodeIsThatOfTheExamples(t *testing.T) {
	var examples strings.Builder
	for _, pattern := range []string{"example*_test.go", "../rpc/example*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			examples.WriteString(flat(string(text)))
		}
	}
	blocks, err := doctest.Language("go", "../docs/SERVICES.md")
	if err != nil || len(blocks) == 0 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	for _, b := range blocks {
		if !strings.Contains(examples.String(), flat(b.Text)) {
			t.Errorf("%s:%d is in no example", b.File, b.Line)
		}
	}
}

// flat is text without indentation.
func flat(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimSpace(line) + "\n")
	}
	return out.String()
}
