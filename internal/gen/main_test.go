package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

const root = "../.."

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Errorf("%v; run go run ./internal/gen", err)
			continue
		}
		if diff := cmp.Diff(string(got), string(want)); diff != "" {
			t.Errorf("%s is not current; run go run ./internal/gen\nfile -, generated +:\n%s", name, diff)
		}
	}
}

func TestEveryKeyAndTableIsDescribed(t *testing.T) {
	comments, err := comments(root)
	if err != nil {
		t.Fatal(err)
	}
	tables := model(comments)
	if len(tables) < 12 {
		t.Errorf("%d tables", len(tables))
	}
	for _, table := range tables {
		if table.Name != "" && table.Doc == "" {
			t.Errorf("[%s] has no comment", table.Name)
		}
		for _, k := range table.Keys {
			if k.Doc == "" {
				t.Errorf("%s.%s has no comment", table.Name, k.Name)
			}
		}
	}
}

func TestRunWritesOnlyWhatIsNotCurrent(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "config"), os.DirFS(filepath.Join(root, "config"))); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := run("."); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat("docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod("docs/CONFIG.md", 0o400); err != nil {
		t.Fatal(err)
	}
	if err := run("."); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat("docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	if !after.ModTime().Equal(before.ModTime()) {
		t.Error("a current file was written again")
	}
	if err := run(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("no error without sources")
	}
}
