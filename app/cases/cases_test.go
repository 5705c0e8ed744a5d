package cases

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/doctest"
)

// write writes files into a directory of their own and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const routerTOML = `
[filters.by_type]
path = "stock:content-router"
[filters.by_type.config]
field = "body:type"
[filters.by_type.config.routes]
created = "queue:orders.created"
alert = ["queue:mail", "queue:pager"]
secret = "queue:elsewhere"

[filters.once]
path = "stock:deduplicator"
config = { key = "property:message_id" }
grants = { kv = true }

[routes.orders]
listen = "orders"
filters = ["once", "by_type"]
allow = ["queue:orders.*", "queue:mail", "queue:pager"]

[routes.bridge]
listen = "topic:compute"
format = "oslo"
mode = "proxy"
send = ["topic:compute_v2"]
`

// misses runs cases and returns what is said about each, a line at a time.
func misses(t *testing.T, cases string) []string {
	t.Helper()
	dir := write(t, map[string]string{"router.toml": routerTOML, "router.test.toml": cases})
	r, err := Run(t.Context(), Options{Config: filepath.Join(dir, "router.toml")})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Passed != (c.why() == "") {
			t.Errorf("%s: passed %v, %s", c.Name, c.Passed, c.why())
		}
		all = append(all, strings.Split(strings.TrimSpace(strings.ReplaceAll(c.why(), dir+string(filepath.Separator), "")), "\n")...)
	}
	return all
}

func TestWhatIsAsExpectedPasses(t *testing.T) {
	got := misses(t, `
[[case]]
name = "forward"
given.headers = { tenant = "acme", n = 3, t = 2024-05-01T10:00:00Z, b = { bytes = "00ff" } }
given.properties = { content_type = "application/json", priority = 4 }
given.body = { type = "created", deep = { a = [1, 2.0], b = "x" } }
when.route = "orders"
[case.expect]
action = "forward"
targets = ["queue:orders.created"]
messages = 1
headers = { tenant = "acme", n = 3.0, t = 2024-05-01T12:00:00+02:00, b = { bytes = "00ff" } }
properties = { content_type = "application/json", priority = 4 }
context = { tenant = "acme" }
payload = { deep = { a = [1.0, 2] } }
body = { deep = { b = "x", a = [1, 2] }, type = "created" }
absent = ["header:secret", "property:reply_to", "text:password", "context:x"]

[[case]]
name = "two targets"
given.body = '{"type":"alert"}'
when.route = "orders"
expect.targets = ["queue:pager", "queue:mail"]
[[case.expect.sent]]
target = "queue:pager"
body = '{"type":"alert"}'
[[case.expect.sent]]
target = "queue:mail"

[[case]]
name = "dropped the second time"
before = [{ body = '{"type":"alert"}', properties = { message_id = "1" } }]
given = { body = '{"type":"alert"}', properties = { message_id = "1" } }
when.route = "orders"
expect = { action = "drop", filter = "once", stage = "unpack", messages = 0 }

[[case]]
name = "which no other case knows of"
given = { body = '{"type":"alert"}', properties = { message_id = "1" } }
when.route = "orders"
expect.messages = 2

[[case]]
name = "not allowed"
given.body = { type = "secret" }
when.route = "orders"
expect = { action = "dead-letter", reason = "not-allowed", error = "queue:elsewhere", targets = [] }

[[case]]
name = "oslo"
given.oslo = { method = "boot", args = { image = "x" }, version = "1.2", reply_to = "reply_1", context = { project_id = "p" } }
when.route = "bridge"
expect.targets = ["topic:compute_v2"]
expect.context = { project_id = "p" }
expect.payload = { method = "boot", version = "1.2", args = { image = "x" } }

[[case]]
name = "notification"
given.oslo = { event_type = "up", publisher_id = "me", payload = [1] }
when.route = "bridge"
expect.payload = { event_type = "up", priority = "INFO", payload = [1] }
`)
	if diff := cmp.Diff([]string{"", "", "", "", "", "", ""}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatIsNotAsExpectedIsSaid(t *testing.T) {
	got := misses(t, `
[[case]]
name = "all at once"
given.headers = { tenant = "acme" }
given.properties = { message_id = "1" }
given.body = { type = "created", a = { b = 1 } }
when.route = "orders"
[case.expect]
action = "drop"
targets = ["queue:mail", "queue:mail"]
messages = 2
reason = "rejected"
error = "why"
filter = "f"
stage = "decide"
headers = { tenant = "other", none = 1 }
properties = { message_id = "2", reply_to = "q" }
context = { x = "y" }
payload = { a = { b = 2, c = "d" }, type = ["created"] }
body = { type = "created" }
absent = ["header:tenant", "property:message_id", "context:tenant", "text:created"]
sent = [{ target = "queue:pager" }, { target = "queue:orders.created", headers = { tenant = "x" } }]

[[case]]
name = "nothing is sent"
given.body = "no JSON"
when.route = "orders"
expect.payload = { a = 1 }

[[case]]
name = "which of two"
given.body = { type = "alert" }
when.route = "orders"
expect.body = "x"

[[case]]
name = "no route"
given.body = ""
expect.messages = 0

[[case]]
name = "wrong route"
given.body = ""
when.route = "order"
expect.messages = 0

[[case]]
name = "no such property"
given = { body = "", properties = { prio = 1 } }
when.route = "orders"
expect.messages = 0

[[case]]
name = "no target"
given.body = ""
when.route = "orders"
expect.targets = ["orders"]

[[case]]
name = "no such property wanted"
given.body = { type = "created" }
when.route = "orders"
expect.properties = { prio = 1 }
`)
	want := strings.Split(strings.TrimSpace(`
action: want drop, got forward
  reason: want rejected, got none
  filter: want f, got none
  stage: want decide, got none
  error: want a text with "why", got none
  messages: want 2, got 1
  targets: want queue:mail, queue:mail, got queue:orders.created
  header none: want 1, got none
  header tenant: want "other", got "acme"
  context x: want "y", got none
  property message_id: want "2", got "1"
  property reply_to: want "q", got none
  payload.a.b: want 2, got 1
  payload.a.c: want "d", got none
  payload.type: want ["created"], got "created"
  body (- wanted, + got)
      {
    +   "a": {
    +     "b": 1
    +   },
        "type": "created"
      }
  header tenant: want none, got "acme"
  property message_id: want none, got "1"
  context tenant: want none, got "acme"
  text created: want none, got "created"
  message to queue:pager: want one, got none
  header tenant to queue:orders.created: want "x", got "acme"
  it was forward to queue:orders.created
messages: want one at least, got none
  it was dead-letter, filter-error, by filter by_type in decide: filter by_type: decide: error: malformed: the body is not JSON: malformed at byte 0
body to queue:mail: want x, got {"type":"alert"}
  body to queue:pager: want x, got {"type":"alert"}
  it was forward to queue:mail, queue:pager
router.test.toml:36:3: case[3].when.route: name one of the routes bridge, orders
router.test.toml:44:14: case[4].when.route: there is no route "order"; there are: bridge, orders
router.test.toml:49:9: case[5].given: there is no property "prio"
router.test.toml:57:19: case[6].expect.targets[0]: invalid target "orders": write it as queue:NAME, exchange:NAME/KEY, topic:TOPIC, server:TOPIC.SERVER, fanout:TOPIC or notify:TOPIC.PRIORITY
router.test.toml:63:21: case[7].expect.properties: there is no property "prio"
`), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheExampleOfTheDocumentationPasses(t *testing.T) {
	blocks, err := doctest.Language("toml", "../../docs/TESTING.md")
	if err != nil || len(blocks) != 2 {
		t.Fatal(len(blocks), err)
	}
	dir := write(t, map[string]string{"router.toml": blocks[0].Text, "router.test.toml": blocks[1].Text})
	r, err := Run(t.Context(), Options{Config: filepath.Join(dir, "router.toml")})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || r.Failed > 0 || r.Passed != 3 {
		t.Errorf("%v, %s", err, &text)
	}
}

func TestJUnitTellsWhatMissed(t *testing.T) {
	dir := write(t, map[string]string{"r.toml": "[routes.r]\nlisten = \"a\"\nsend = [\"queue:b\"]\n", "x.test.toml": `
[[case]]
name = "good"
expect.targets = ["queue:b"]
[[case]]
name = "<bad>"
expect.targets = ["queue:c"]
`})
	r, err := Run(t.Context(), Options{Config: filepath.Join(dir, "r.toml"), Files: []string{filepath.Join(dir, "x.test.toml")}})
	if err != nil {
		t.Fatal(err)
	}
	r.Config = "r.toml"
	var out bytes.Buffer
	if err := r.WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Cases    []struct {
			Class   string `xml:"classname,attr"`
			Name    string `xml:"name,attr"`
			Failure string `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(out.Bytes(), &suite); err != nil {
		t.Fatal(err)
	}
	got := []any{suite.Tests, suite.Failures, suite.Cases[1].Class, suite.Cases[1].Name, suite.Cases[0].Failure, suite.Cases[1].Failure}
	want := []any{2, 1, "r.toml.r", "<bad>", "", "  targets: want queue:c, got queue:b\n  it was forward to queue:b\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCasesThatCannotBeRun(t *testing.T) {
	dir := write(t, map[string]string{"router.toml": routerTOML})
	config := filepath.Join(dir, "router.toml")
	for want, o := range map[string]Options{
		"there are no cases: write " + filepath.Join(dir, "router.test.toml"): {Config: config},
		"cannot read the file": {Config: config, Files: []string{filepath.Join(dir, "none")}},
	} {
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
