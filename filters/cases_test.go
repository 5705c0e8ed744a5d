package filters_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/router"
)

var update = flag.Bool("update", false, "write what the filters do into the golden cases")

// goldenCase is one file of a filter's cases directory.
type goldenCase struct {
	file    string
	archive *txtar.Archive
	config  map[string]any
	message message
	body    []byte
	stages  []router.Stage
	want    string
}

// message is the case's message as written in JSON; a header value may be
// {"bytes": "<hex>"} for what JSON cannot say.
type message struct {
	Headers     map[string]any    `json:"headers"`
	Properties  map[string]string `json:"properties"`
	Exchange    string            `json:"exchange"`
	RoutingKey  string            `json:"routing_key"`
	Queue       string            `json:"queue"`
	Redelivered bool              `json:"redelivered"`
}

func properties(e *router.Envelope) map[string]*string {
	return map[string]*string{
		"content_type":     &e.ContentType,
		"content_encoding": &e.ContentEncoding,
		"correlation_id":   &e.CorrelationID,
		"reply_to":         &e.ReplyTo,
		"message_id":       &e.MessageID,
		"type":             &e.Type,
		"app_id":           &e.AppID,
		"user_id":          &e.UserID,
		"expiration":       &e.Expiration,
	}
}

func readCase(t *testing.T, file string) *goldenCase {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &goldenCase{file: file, archive: a}
	for _, f := range a.Files {
		text := bytes.TrimSuffix(f.Data, []byte("\n"))
		switch f.Name {
		case "config":
			decodeJSON(t, file, f.Data, &c.config)
		case "message":
			decodeJSON(t, file, f.Data, &c.message)
		case "body":
			c.body = text
		case "body.hex":
			c.body, err = hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		case "body.go":
			s, err := strconv.Unquote(string(text))
			if err != nil {
				t.Fatalf("%s: body.go is no Go string: %v", file, err)
			}
			c.body = []byte(s)
		case "stage":
			for name := range strings.FieldsSeq(string(text)) {
				c.stages = append(c.stages, stageNamed(t, name))
			}
		case "want":
			c.want = string(f.Data)
		default:
			t.Fatalf("%s: unknown section %q", file, f.Name)
		}
	}
	if len(c.stages) == 0 {
		t.Fatalf("%s: no stage", file)
	}
	return c
}

func stageNamed(t *testing.T, name string) router.Stage {
	for s := range router.Stage(router.NumStages) {
		if s.String() == name {
			return s
		}
	}
	t.Fatalf("no stage %q", name)
	return 0
}

func decodeJSON(t *testing.T, file string, data []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// amqp turns JSON values into the values that headers and TOML tables have.
func amqp(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = amqp(v[i])
		}
		return out
	case map[string]any:
		if s, ok := v["bytes"].(string); ok && len(v) == 1 {
			b, _ := hex.DecodeString(s)
			return b
		}
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = amqp(v[k])
		}
		return out
	}
	return v
}

func (c *goldenCase) envelope() router.Envelope {
	headers, _ := amqp(c.message.Headers).(map[string]any)
	env := router.NewEnvelope(headers, c.body)
	env.Origin = router.Origin{
		Queue: c.message.Queue, Exchange: c.message.Exchange, RoutingKey: c.message.RoutingKey,
		Redelivered: c.message.Redelivered,
	}
	for name, p := range properties(&env) {
		*p = c.message.Properties[name]
	}
	return env
}

// run passes the case's message through the module and says what changed, one
// change a line; "nothing" when nothing did.
func (c *goldenCase) run(t *testing.T, name string, module []byte) string {
	t.Helper()
	config, _ := amqp(c.config).(map[string]any)
	f, err := loadFilter(t, name, module, config)
	if err != nil {
		return "refused: " + refusal(err) + "\n"
	}
	env, d := c.envelope(), router.Decision{}
	for _, s := range c.stages {
		if err := f.Run(context.Background(), s, &env, &d); err != nil {
			var fe *router.FilterError
			if !errors.As(err, &fe) {
				t.Fatalf("%s: %v", c.file, err)
			}
			return fmt.Sprintf("%s fails: %s: %v\n", fe.Stage, fe.Class, fe.Err)
		}
	}
	before := c.envelope()
	return describe(&before, &env, &d)
}

// refusal is the text that a filter gave for refusing its configuration.
func refusal(err error) string {
	s := err.Error()
	if i := strings.Index(s, "config: "); i >= 0 {
		return s[i:]
	}
	return s
}

func describe(before, after *router.Envelope, d *router.Decision) string {
	var b strings.Builder
	if d.Action != router.Undecided {
		fmt.Fprintf(&b, "action: %s\n", d.Action)
	}
	for _, t := range d.Targets {
		fmt.Fprintf(&b, "target: %s\n", t)
	}
	if d.Reason != "" {
		fmt.Fprintf(&b, "reason: %s\n", d.Reason)
	}
	if d.Stop {
		b.WriteString("stop\n")
	}
	was, is := properties(before), properties(after)
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if *was[name] != *is[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, *is[name])
		}
	}
	names := maps.Clone(before.Headers())
	if names == nil {
		names = map[string]any{}
	}
	maps.Copy(names, after.Headers())
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, had := before.Header(name)
		now, has := after.Header(name)
		switch {
		case !has:
			fmt.Fprintf(&b, "header %s: removed\n", name)
		case !had || !cmp.Equal(old, now):
			fmt.Fprintf(&b, "header %s: %T %v\n", name, now, now)
		}
	}
	if !bytes.Equal(before.Body, after.Body) {
		if printable(after.Body) {
			fmt.Fprintf(&b, "body: %s\n", after.Body)
		} else {
			fmt.Fprintf(&b, "body: hex % x\n", after.Body)
		}
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func printable(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexFunc(b, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

var token = regexp.MustCompile(`<hex(\d+)>`)

// matches compares; <hexN> in want stands for N hexadecimal digits, where a
// filter makes up random numbers.
func matches(want, got string) bool {
	if !strings.Contains(want, "<hex") {
		return want == got
	}
	re := token.ReplaceAllString(regexp.QuoteMeta(want), "[0-9a-f]{$1}")
	return regexp.MustCompile("^" + re + "$").MatchString(got)
}

// runCases runs every golden case of a stock filter against a module.
func runCases(t *testing.T, name string, module []byte) {
	files, err := filepath.Glob(filepath.Join("stock", name, "cases", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("stock/%s/cases has %d cases; at least 10 are expected", name, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			c := readCase(t, file)
			got := c.run(t, name, module)
			if matches(c.want, got) {
				return
			}
			if *update {
				c.write(t, got)
				return
			}
			t.Errorf("%s (-want +got):\n%s", file, cmp.Diff(c.want, got))
		})
	}
}

func (c *goldenCase) write(t *testing.T, got string) {
	c.archive.Files = slices.DeleteFunc(c.archive.Files, func(f txtar.File) bool { return f.Name == "want" })
	c.archive.Files = append(c.archive.Files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(c.file, txtar.Format(c.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func stock(t testing.TB, name string) []byte {
	t.Helper()
	module, ok := filters.Lookup(name)
	if !ok {
		t.Fatalf("no stock filter %q", name)
	}
	return module
}

func TestGoldenCases(t *testing.T) {
	for _, name := range filters.List() {
		if strings.HasPrefix(name, "demo:") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runCases(t, name, stock(t, name))
		})
	}
}
