package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wasmrouter/router/internal/testkit"
)

// release is .goreleaser.yaml: all keys that it uses, so that a misspelt one is
// refused here as there.
type release struct {
	Version     int
	ProjectName string `yaml:"project_name"`
	Before      struct{ Hooks []string }
	Builds      []struct {
		ID, Main, Binary                  string
		Env, Flags, Ldflags, Goos, Goarch []string
		ModTimestamp                      string `yaml:"mod_timestamp"`
	}
	Archives []struct {
		ID           string
		Formats      []string
		NameTemplate string            `yaml:"name_template"`
		Wrap         bool              `yaml:"wrap_in_directory"`
		BuildsInfo   map[string]string `yaml:"builds_info"`
		Files        []struct {
			Src  string
			Info map[string]string
		}
	}
	Nfpms []struct {
		ID, Vendor, Maintainer, Homepage, Description, License, Section, Bindir, MTime string
		PackageName                                                                    string `yaml:"package_name"`
		Formats, Recommends                                                            []string
		Scripts                                                                        map[string]string
		Contents                                                                       []content
	}
	Sboms []struct {
		ID, Artifacts, Cmd string
		Documents, Args    []string
	}
	Checksum struct {
		NameTemplate string `yaml:"name_template"`
		Algorithm    string
	}
	Release   struct{ GitHub struct{ Owner, Name string } }
	Changelog struct{ Disable bool }
}

type content struct{ Src, Dst, Type, Packager string }

func readRelease(t *testing.T) release {
	t.Helper()
	text, err := os.ReadFile("../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var r release
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Version != 2 || len(r.Builds) != 1 || len(r.Archives) != 1 || len(r.Nfpms) != 1 || len(r.Sboms) != 1 {
		t.Fatalf("%+v", r)
	}
	return r
}

// extras makes what packages have beside the program, in the way a release does.
func extras(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, err := testkit.BuildRouter(t.Context(), dir, "../cmd")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "scripts/extras.sh", filepath.Join(dir, "extras"), program)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func TestAReleaseHoldsFilesThatExist(t *testing.T) {
	r := readRelease(t)
	made := extras(t)
	found := func(pattern string) []string {
		t.Helper()
		root := ".."
		if strings.HasPrefix(pattern, "extras/") {
			root = made
		}
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: there is no such file: %v", pattern, err)
		}
		return files
	}
	for _, f := range r.Archives[0].Files {
		found(f.Src)
		if f.Info["mtime"] != "{{ .CommitDate }}" {
			t.Errorf("%s has a time of its own, so no two releases are the same", f.Src)
		}
	}
	p := r.Nfpms[0]
	where := map[string]string{}
	for _, c := range p.Contents {
		found(c.Src)
		where[c.Dst] = c.Src
	}
	for _, script := range p.Scripts {
		for _, path := range found(script) {
			if out, err := exec.CommandContext(t.Context(), "sh", "-n", path).CombinedOutput(); err != nil {
				t.Errorf("%s: %s", path, out)
			}
		}
	}
	// A page for each command, and completion for each shell.
	if n := len(found("extras/man/*.1.gz")); n < 20 {
		t.Errorf("%d manual pages", n)
	}
	for name, begins := range map[string]string{"router.bash": "# bash completion", "_router": "#compdef router", "router.fish": "# fish completion"} {
		text, err := os.ReadFile(filepath.Join(made, "extras/completion", name))
		if err != nil || !strings.HasPrefix(string(text), begins) {
			t.Errorf("%s: %v: %.40q", name, err, text)
		}
	}
	u := unit(t, "systemd/router.service")
	if got, want := one(t, u, "ExecStart"), p.Bindir+"/router run -c /etc/router/router.toml"; got != want {
		t.Errorf("the unit starts %s, want %s", got, want)
	}
	if where["/etc/router/router.toml"] == "" || where["/usr/lib/systemd/system/router.service"] == "" {
		t.Errorf("the package lacks the unit or its configuration: %v", where)
	}
}

// The release builds what `make build` builds, which is built twice and compared.
func TestAReleaseIsBuiltLikeMakeBuild(t *testing.T) {
	b := readRelease(t).Builds[0]
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^\t(CGO_ENABLED=0) \$\(GO\) build (-trimpath) -ldflags '(.*)' -o bin/router (\./cmd/router)$`).FindStringSubmatch(string(text))
	if m == nil {
		t.Fatal("make build is written otherwise")
	}
	ldflags := strings.Replace(m[3], "$(VERSION)", "{{ .Version }}", 1)
	if !slices.Equal(b.Env, m[1:2]) || !slices.Equal(b.Flags, m[2:3]) || !slices.Equal(b.Ldflags, []string{ldflags}) || b.Main != m[4] || b.ModTimestamp == "" {
		t.Errorf("the release builds %+v, make build %q", b, m)
	}
}

func TestAReleaseSaysWhatItIsMadeOf(t *testing.T) {
	s := readRelease(t).Sboms[0]
	script, inParent := strings.CutPrefix(s.Cmd, "../") // of dist/, where the tool runs
	if _, err := os.Stat(filepath.Join("..", script)); err != nil || !inParent || s.Artifacts != "binary" {
		t.Errorf("%+v: %v", s, err)
	}
}
