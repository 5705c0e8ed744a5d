package doctest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const page = "# A page\n\n```toml\na = 1\n```\n\n- in a list:\n\n  ~~~toml fragment\n  b = 2\n  ```\n  ~~~\n\n````text\n```toml\nno = 1\n```\n````\n```\nplain\n```\n"

func TestBlocksOfAPage(t *testing.T) {
	got, err := Blocks("p.md", page)
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{
		{"p.md", 4, []string{"toml"}, "a = 1\n"},
		{"p.md", 10, []string{"toml", "fragment"}, "  b = 2\n  ```\n"},
		{"p.md", 15, []string{"text"}, "```toml\nno = 1\n```\n"},
		{"p.md", 20, []string{}, "plain\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOpenBlockIsAnError(t *testing.T) {
	if _, err := Blocks("p.md", "```toml\na = 1\n"); err == nil || err.Error() != "p.md:1: the code block is not closed" {
		t.Errorf("error %v", err)
	}
}

func TestLanguageWalksDirectoriesAndFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.md", "deep/b.md", "deep/c.txt"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	blocks, err := Language("toml", filepath.Join(dir, "a.md"), filepath.Join(dir, "deep"))
	if err != nil || len(blocks) != 4 {
		t.Errorf("%d blocks, error %v", len(blocks), err)
	}
	if _, err := Language("toml", filepath.Join(dir, "nowhere")); err == nil {
		t.Error("no error for a path that does not exist")
	}
}
