package workbench

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// router is the stock filter that the tests of cases try.
func contentRouter(t *testing.T) *Subject {
	t.Helper()
	s, err := Open("stock:content-router", Options{Config: `{"field": "body:type", "routes": {"a": "queue:a", "b": "queue:b"}}`})
	if err != nil {
		t.Fatal(err)
	}
	s.Dir = t.TempDir()
	return s
}

const twoSteps = `Two messages, one after the other.
-- body --
{"type": "a"}
-- stage --
decide
-- want --
action: forward
target: queue:a
-- message --
{"headers": {"h": 1}, "body": {"type": "b"}}
-- want --
action: forward
target: queue:b
`

func TestStepsOfACaseRunInTurn(t *testing.T) {
	s := contentRouter(t)
	file := filepath.Join(s.Dir, "cases", "two.txtar")
	writeFile(t, file, twoSteps)
	r, err := bench.Test(t.Context(), s, TestOptions{})
	if err != nil || r.Passed != 1 || r.Failed != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	c, err := ReadCase(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Steps) != 2 || len(c.Steps[1].Stages) != 1 || string(c.Steps[1].Message.body) != `{"type": "b"}` || len(c.Steps[0].Message.Headers) != 0 {
		t.Errorf("steps %+v", c.Steps)
	}
}

func TestMissesAreShownAndUpdated(t *testing.T) {
	s := contentRouter(t)
	file := filepath.Join(s.Dir, "cases", "two.txtar")
	wrong := strings.Replace(twoSteps, "target: queue:b\n", "target: queue:c\nheader x: removed\n", 1)
	writeFile(t, file, wrong)
	writeFile(t, filepath.Join(s.Dir, "cases", "other.txtar"), twoSteps)

	r, err := bench.Test(t.Context(), s, TestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := "FAIL two (" + file + "; - wanted, + got)\nstep 2:\n    action: forward\n  - target: queue:c\n  - header x: removed\n  + target: queue:b\n1 passed, 1 failed\n"
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := readFile(t, file); got != wrong {
		t.Error("the case was changed without being asked")
	}

	r, err = bench.Test(t.Context(), s, TestOptions{Update: true, Run: regexp.MustCompile("^two$")})
	if err != nil || r.Passed != 1 || r.Failed != 0 || !r.Cases[0].Updated {
		t.Fatalf("%+v, %v", r, err)
	}
	if diff := cmp.Diff(twoSteps, readFile(t, file)); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
}

func TestCasesThatCannotRunSayWhy(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "it has no section want; add a line -- want -- and run `router filter test --update`",
		"-- want --\nnothing": "it has no section stage; name the stages to run, such as decide",
		"-- stage --\ndecide\n-- want --\nnothing\n-- body --\nx\n": "the last step has no section want; add a line -- want -- and run `router filter test --update`",
		"-- stage --\nlater\n":                                      `there is no stage "later"; the stages are decode, unpack, decide, pack and encode`,
		"-- stages --\ndecide\n":                                    `unknown section "stages"; the sections are config, message, body, body.hex, body.go, stage and want`,
		"-- config --\n[1]\n":                                       "config: it is not an object: a JSON array stands there",
		"-- config --\n{}\n-- config --\n{}\n":                      "the section config comes once, before the first step",
		"-- message --\n{\"header\": {}}\n":                         `message: unknown field "header"`,
		"-- message --\n{\"properties\": {\"kind\": 1}}\n":          `message: there is no property "kind"`,
		"-- message --\n{\"target\": \"orders\"}\n":                 "message: target: ",
		"-- message --\n{\"headers\": 1}\n":                         "message: headers is not an object: a JSON number stands there",
		"-- message --\n{\"queue\": 1}\n":                           "message: queue is not a string: a JSON number stands there",
		"-- message --\n{\"redelivered\": \"\"}\n":                  "message: redelivered is not true or false: a JSON string stands there",
		"-- message --\n{\"queue\": \n":                             "message: the JSON ends too early",
		"-- message --\n{} {}\n":                                    "message: something follows the JSON value",
		"-- body.hex --\nxy\n":                                      "body.hex: encoding/hex: invalid byte: U+0078 'x'",
		"-- body.go --\nabc\n":                                      "body.go is no Go string: invalid syntax",
		"-- stage --\nunpack\n-- want --\nnothing\n":                "the filter has no unpack stage",
		"-- message --\n{\"body\": 1, \"body_base64\": \"MQ==\"}\n": "message: it has body and body_base64; keep one of the two",
	} {
		s := contentRouter(t)
		file := filepath.Join(s.Dir, "cases", "x.txtar")
		writeFile(t, file, text)
		r, err := bench.Test(t.Context(), s, TestOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Cases[0].Error; !strings.HasPrefix(got, file+": "+want) || r.Failed != 1 {
			t.Errorf("%s\n got: %s\nwant: %s", text, got, want)
		}
	}
}

func TestWantedTextMayLeaveDigitsOpen(t *testing.T) {
	for _, c := range []struct {
		want, got string
		match     bool
	}{
		{"a: <hex4>\n", "a: 01ef\n", true},
		{"a: <hex4>\n", "a: 01eg\n", false},
		{"a: <hex4>\n", "a: 01ef0\n", false},
		{"a.b: <hex2>", "aXb: 00", false},
		{"a", "a", true},
		{"a", "b", false},
	} {
		if matches(c.want, c.got) != c.match {
			t.Errorf("%q, %q: want %v", c.want, c.got, c.match)
		}
	}
}

func TestSubjectWithoutCasesSaysWhereTheyLie(t *testing.T) {
	s := contentRouter(t)
	if _, err := bench.Test(t.Context(), s, TestOptions{}); err == nil || !strings.Contains(err.Error(), filepath.Join("cases", "NAME.txtar")) {
		t.Error(err)
	}
	s.Dir = ""
	if _, err := bench.Test(t.Context(), s, TestOptions{}); err == nil || !strings.Contains(err.Error(), "stock:content-router has no cases") {
		t.Error(err)
	}
}
