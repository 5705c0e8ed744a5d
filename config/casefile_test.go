package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/config"
)

func TestCaseFileHoldsMessagesAndWhatMustBecomeOfThem(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "body.bin"), []byte{0, 1}, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := config.ParseCases("r.test.toml", []byte(`
[[case]]
name = "one"
before = [{ body = "first" }]
given = { body = { a = [1, "${x}"] }, headers = { n = 1 } }
when.route = "r"
expect.targets = []
[[case.expect.sent]]
target = "queue:q"
body_file = "body.bin"

[[case]]
name = "two"
given.body_base64 = "aGk="
expect = { action = "drop", headers = { n = 2 } }
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	one, two := &f.Cases[0], &f.Cases[1]
	data, wanted, asJSON := one.Expect.Sent[0].BodyBytes()
	_, whole, _ := one.Expect.BodyBytes()
	got := []any{
		string(one.Before[0].BodyBytes()), string(one.Given.BodyBytes()), one.When.Route, one.Expect.Has("targets"), one.Expect.Has("action"),
		string(data), wanted, asJSON, whole, string(two.Given.BodyBytes()), two.Expect.Headers["n"],
	}
	want := []any{"first", `{"a":[1,"${x}"]}`, "r", true, false, "\x00\x01", true, false, false, "hi", int64(2)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if e := f.Errorf(1, []string{"given"}, "", "no"); e.Error() != "r.test.toml:14:1: case[1].given: no" {
		t.Error(e)
	}
}

func TestCaseFileIsReadStrictly(t *testing.T) {
	const head = "[[case]]\nname = \"n\"\n"
	for text, want := range map[string]string{
		``:                                       `f:1:1: there are no cases; add [[case]]`,
		head:                                     `f:1:3: case[0].expect: the case expects nothing; add expect.action = "forward", or another key of expect`,
		"[[case]]\nexpect.messages = 1":          `f:1:3: case[0].name: missing; add name = ...`,
		head + "expect.target = []":              `f:3:17: case[0].expect.target: unknown key; did you mean "targets"?`,
		head + "expect.messages = 1\nlisten = 1": `f:4:10: case[0].listen: unknown key; known: "before", "expect", "given", "name", "when"`,
		head + "expect.action = \"send\"":        `f:3:17: case[0].expect.action: "send" is not known here; known: forward, reply, drop, dead-letter, retry`,
		head + "expect.messages = -1":            `f:3:19: case[0].expect.messages: -1 is too small; the least is 0`,
		head + "expect.absent = [\"body\"]":      `f:3:18: case[0].expect.absent[0]: "body" is nothing that can be absent; write header:NAME, property:NAME, context:NAME or text:TEXT`,
		head + "expect.messages = 1\ngiven = { body = \"\", body_base64 = \"\" }":                   `f:4:36: case[0].given.body_base64: there is a body, too; keep one of the two`,
		head + "expect.messages = 1\ngiven.body = 3":                                                `f:4:14: case[0].given.body: is an integer, not a text, a table or an array; write a text in quotes, which may be JSON such as "3"`,
		head + "expect.messages = 1\nbefore = [{ body = true }]":                                    `f:4:20: case[0].before[0].body: is a boolean, not a text, a table or an array; write a text in quotes, which may be JSON such as "3"`,
		head + "expect.body = 1.5":                                                                  `f:3:15: case[0].expect.body: is a float, not a text, a table or an array; write a text in quotes, which may be JSON such as "3"`,
		head + "expect.messages = 1\n[[case.expect.sent]]\ntarget = \"queue:b\"\nbody = 2026-01-01": `f:6:8: case[0].expect.sent[0].body: is a date or time, not a text, a table or an array; write a text in quotes, which may be JSON such as "3"`,
		head + "expect.messages = 1\ngiven.body_base64 = \"?\"":                                     `f:4:21: case[0].given.body_base64: illegal base64 data at input byte 0; write what docs/TESTING.md says`,
		head + "expect.messages = 1\ngiven.body_file = \"none\"":                                    `f:4:19: case[0].given.body_file: there is no "none"; write what docs/TESTING.md says`,
		head + "expect.messages = 1\ngiven.body_file = \"../x\"":                                    `f:4:19: case[0].given.body_file: cannot read "../x": path escapes from parent; write what docs/TESTING.md says`,
		head + "expect.messages = 1\ngiven.oslo = { version = \"1\" }":                              `f:4:14: case[0].given.oslo: says nothing; add method = "..." for a call, or event_type = "..." for a notification`,
		head + "expect.messages = 1\ngiven = { body = \"\", oslo.method = \"m\" }":                  `f:4:22: case[0].given.oslo: there is a body, too; keep one of the two`,
		head + "expect.messages = 1\ngiven.oslo = { method = \"m\", event_type = \"e\" }":           `f:4:43: case[0].given.oslo.event_type: there is a method, too; keep one of the two`,
		head + "expect.messages = 1\n" + head + "expect.messages = 1":                               `f:5:8: case[1].name: there is another case "n"; names tell cases apart in reports`,
		head + "expect.messages = 1\n[[case.expect.sent]]\nheaders = {}":                            `f:4:15: case[0].expect.sent[0].target: missing; add target = ...`,
	} {
		_, err := config.ParseCases("f", []byte(text), t.TempDir())
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got: %v\nwant: %s", text, err, want)
		}
	}
	if _, err := config.LoadCases(filepath.Join(t.TempDir(), "x.test.toml")); err == nil || !strings.Contains(err.Error(), "cannot read the file") {
		t.Error(err)
	}
}
