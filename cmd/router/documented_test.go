package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/internal/manual"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// mentions reports whether a text has the words in code, alone or with more behind
// them.
func mentions(text, words string) bool {
	return regexp.MustCompile("[`\n]" + regexp.QuoteMeta(words) + "[` \n]").MatchString(text)
}

func TestEveryCommandIsDocumented(t *testing.T) {
	text := readText(t, "../../docs/OPERATING.md")
	n := 0
	var each func(*cobra.Command)
	each = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if !c.IsAvailableCommand() || cmd.Name() == "completion" {
				continue
			}
			n++
			if !c.HasSubCommands() && !mentions(text, c.CommandPath()) {
				t.Errorf("docs/OPERATING.md does not mention `%s`", c.CommandPath())
			}
			if c.Short == "" || c.Name() != "completion" && c.Example == "" && len(c.Long) == 0 {
				t.Errorf("%s explains nothing", c.CommandPath())
			}
			each(c)
		}
	}
	root := newRoot()
	root.InitDefaultCompletionCmd("x")
	each(root)
	if n < 20 {
		t.Errorf("%d commands only", n)
	}
}

func TestEveryEndpointIsDocumented(t *testing.T) {
	text := readText(t, "../../docs/OPERATING.md")
	var api struct{ Paths map[string]any }
	// A test of package admin holds this file against what the server answers.
	if err := yaml.Unmarshal([]byte(readText(t, "../../admin/openapi.yaml")), &api); err != nil {
		t.Fatal(err)
	}
	if len(api.Paths) < 8 {
		t.Errorf("%d endpoints only", len(api.Paths))
	}
	for path := range api.Paths {
		if !mentions(text, path) {
			t.Errorf("docs/OPERATING.md does not mention `%s`", path)
		}
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	text := readText(t, "../../docs/CONFIG.md")
	tables, err := manual.Keys(config.Schema())
	if err != nil || len(tables) < 12 {
		t.Fatalf("%d tables: %v", len(tables), err)
	}
	for _, table := range tables {
		_, rest, found := strings.Cut(text, "\n## `"+table.Title+"`\n")
		if !found {
			t.Errorf("docs/CONFIG.md has no %s", table.Title)
			continue
		}
		rest, _, _ = strings.Cut(rest, "\n## ")
		for _, key := range table.Entries {
			if !strings.Contains(rest, "\n| `"+key.Term+"` | ") {
				t.Errorf("docs/CONFIG.md has no %s in %s", key.Term, table.Title)
			}
		}
	}
}

// Metrics have a page that is made from them; what is said about them elsewhere is
// about some that exist.
func TestEveryMetricIsDocumented(t *testing.T) {
	page := readText(t, "../../docs/METRICS.md")
	p := start(t, "[broker]\nurl = \"amqp://127.0.0.1:1/\"\n[log]\nformat = \"json\"\n"+
		"[filters.f]\npath = \"stock:sampler\"\nconfig = { keep = 0.5 }\n[routes.r]\nlisten = \"in\"\nfilters = [\"f\"]\nsend = [\"queue:out\"]\nallow = [\"queue:out\"]\n")
	_, metrics := p.get("GET", "/metrics")
	names := regexp.MustCompile(`(?m)^# TYPE (router_\w+) `).FindAllStringSubmatch(metrics, -1)
	if len(names) < 30 {
		t.Errorf("%d metrics only", len(names))
	}
	for _, m := range names {
		if !strings.Contains(page, "\n| `"+m[1]+"` |") {
			t.Errorf("docs/METRICS.md has no %s", m[1])
		}
	}
	for _, file := range append(pages(t, "../../docs"), "../../README.md") {
		for _, name := range regexp.MustCompile(`\brouter_[a-z_]+(total|seconds|bytes|messages|failing|connected|blocked|successful)\b`).FindAllString(readText(t, file), -1) {
			if !strings.Contains(page, "`"+name+"`") {
				t.Errorf("%s has %s, which there is not", file, name)
			}
		}
	}
}

// pages are the Markdown files below a directory.
func pages(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	linked = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	fenced = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	inline = regexp.MustCompile("`[^`\n]*`")
)

// Links between the pages lead somewhere, to a heading that exists, and README.md
// leads to every page of docs/.
func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	root := "../.."
	files := []string{root + "/README.md", root + "/CONTRIBUTING.md", root + "/CHANGELOG.md"}
	for _, dir := range []string{"docs", "examples", "filters"} {
		files = append(files, pages(t, root+"/"+dir)...)
	}
	indexed := map[string]bool{}
	for _, file := range files {
		text := inline.ReplaceAllString(fenced.ReplaceAllString(readText(t, file), ""), "")
		for _, m := range linked.FindAllStringSubmatch(text, -1) {
			to := file
			switch {
			case strings.Contains(m[1], "://"), strings.HasPrefix(m[1], "mailto:"):
				continue
			case m[1] != "":
				to = filepath.Join(filepath.Dir(file), m[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s leads nowhere", file, m[0])
				continue
			}
			if filepath.Base(file) == "README.md" && filepath.Dir(file) == root {
				indexed[filepath.Clean(to)] = true
			}
			if m[2] != "" && filepath.Ext(to) == ".md" && !hasHeading(readText(t, to), m[2][1:]) {
				t.Errorf("%s: %s: there is no such heading", file, m[0])
			}
		}
	}
	for _, page := range pages(t, root+"/docs") {
		if !indexed[filepath.Clean(page)] {
			t.Errorf("README.md does not lead to %s", page)
		}
	}
}

// hasHeading reports whether a page has a heading of that anchor.
func hasHeading(text, anchor string) bool {
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for line := range strings.Lines(fenced.ReplaceAllString(text, "")) {
		if title := strings.TrimLeft(line, "#"); title != line {
			id := strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-")
			if id == anchor {
				return true
			}
		}
	}
	return false
}

// Cases that a page shows are those of the configuration that it shows before them,
// and it passes them.
func TestCasesOfPagesPass(t *testing.T) {
	ran := 0
	for _, page := range pages(t, "../../docs") {
		if filepath.Base(page) == "QUICKSTART.md" {
			continue // its filter has to be built first, which its own test does
		}
		config := ""
		for _, b := range blocks(t, page) {
			switch strings.Join(b.Info, " ") {
			case "toml":
				config = b.Text
			case "toml cases":
				dir := t.TempDir()
				for name, text := range map[string]string{"router.toml": config, "router.test.toml": b.Text} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				cmd := exec.CommandContext(t.Context(), filepath.Join(binDir, "router"), "test")
				cmd.Dir, cmd.Env = dir, environment()
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s:%d: %v\n%s", b.File, b.Line, err, out)
				}
				ran++
			}
		}
	}
	if ran < 2 {
		t.Errorf("%d pages with cases", ran)
	}
}
