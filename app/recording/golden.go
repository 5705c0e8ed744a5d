package recording

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
)

// GoldenOptions say of what cases are made.
type GoldenOptions struct {
	Files  []string // recordings
	Out    string   // the file of cases, which must not be there
	Routes []string // whose messages; none are all
	Ignore []string // what cases do not expect: body, error, header:NAME, property:NAME
	Each   int      // cases of messages to which the same happened: same route, action, reason, filter, targets
}

// Golden is what was made.
type Golden struct {
	File     string   `json:"file"`
	Cases    int      `json:"cases"`
	Messages int      `json:"messages"` // that were read
	Left     int      `json:"left"`     // messages for whose case there was no room
	Torn     []string `json:"torn,omitempty"`
}

// MakeGolden writes cases for `router test` that expect what was recorded. The
// file is for its owner alone: it has what is in messages.
func MakeGolden(o GoldenOptions) (*Golden, error) {
	ignore, err := parseIgnore(o.Ignore)
	if err != nil {
		return nil, err
	}
	g := &Golden{File: o.Out}
	var b strings.Builder
	b.WriteString("# Made of a recording by router replay --golden.\n")
	made, wanted := map[string]int{}, wanted(o.Routes)
	g.Torn, err = each(o.Files, func(n int, r *record.Record) error {
		if !wanted(r.Route) {
			return nil
		}
		g.Messages++
		kind := kindOf(r)
		if made[kind] >= o.Each {
			return nil
		}
		text := goldenCase(n, r, ignore)
		if b.Len()+len(text) > int(config.MaxFileSize.Bytes()) {
			g.Left++
			return nil
		}
		made[kind]++
		g.Cases++
		b.WriteString(text)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if g.Cases == 0 {
		return nil, fmt.Errorf("there is no message to make a case of in %s", strings.Join(o.Files, ", "))
	}
	f, err := os.OpenFile(o.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, inTheWay(o.Out)
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(b.String())
	return g, errors.Join(err, f.Close())
}

// kindOf tells what happened to a message.
func kindOf(r *record.Record) string {
	d := settled(&r.Decision)
	parts := []string{r.Route, d.Action, d.Reason, d.Filter, d.Stage}
	for i := range d.Sent {
		to := d.Sent[i].Target.String()
		if d.Sent[i].Reply {
			to = "reply" // each caller has a queue of its own
		}
		parts = append(parts, to)
	}
	return strings.Join(parts, "\x00")
}

// goldenCase is one case.
func goldenCase(n int, r *record.Record, ignore func(string) bool) string {
	var b strings.Builder
	line := func(key, value string) { fmt.Fprintf(&b, "%s = %s\n", key, value) }
	d := settled(&r.Decision)
	b.WriteString("\n[[case]]\n")
	line("name", quote(fmt.Sprintf("%s %d: %s", r.Route, n, d.Action)))
	line("when.route", quote(r.Route))
	b.WriteString("[case.given]\n")
	o := &r.Received.Origin
	if o.Exchange != "" {
		line("exchange", quote(o.Exchange))
	}
	if o.RoutingKey != "" {
		line("routing_key", quote(o.RoutingKey))
	}
	if o.Redelivered {
		line("redelivered", "true")
	}
	envelope(&b, &r.Received, func(string) bool { return false })
	b.WriteString("[case.expect]\n")
	line("action", quote(d.Action))
	for _, one := range [...]struct{ key, value string }{{"reason", d.Reason}, {"filter", d.Filter}, {"stage", d.Stage}, {"error", d.Error}} {
		if one.value != "" && !ignore(one.key) {
			line(one.key, quote(one.value))
		}
	}
	var targets []string
	for i := range d.Sent {
		targets = append(targets, quote(d.Sent[i].Target.String()))
	}
	line("targets", "["+strings.Join(targets, ", ")+"]")
	for i := range d.Sent {
		b.WriteString("[[case.expect.sent]]\n")
		line("target", quote(d.Sent[i].Target.String()))
		sent := d.Sent[i].Envelope
		if own, ok := osloroute.AsCaller(&r.Received, &sent, maxBody); ok {
			sent = own // cases know no mode proxy
		}
		envelope(&b, &sent, ignore)
	}
	return b.String()
}

// maxBody bounds the body of a proxy's call, decompressed; larger ones are expected
// as they were sent.
const maxBody = 64 << 20

// envelope writes properties, headers and body as keys of a case.
func envelope(b *strings.Builder, env *router.Envelope, ignore func(string) bool) {
	var properties []string
	all := workbench.Properties(&env.Properties)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !ignore(name) {
			properties = append(properties, name+" = "+quote(all[name]))
		}
	}
	if len(properties) > 0 {
		fmt.Fprintf(b, "properties = { %s }\n", strings.Join(properties, ", "))
	}
	var headers []string
	for _, name := range slices.Sorted(maps.Keys(env.Headers())) {
		v, _ := env.Header(name)
		text, ok := value(v)
		switch {
		case ignore("header " + name):
		case !ok:
			fmt.Fprintf(b, "# The header %s has a value that TOML cannot say.\n", quote(name))
		default:
			headers = append(headers, quote(name)+" = "+text)
		}
	}
	if len(headers) > 0 {
		fmt.Fprintf(b, "headers = { %s }\n", strings.Join(headers, ", "))
	}
	switch {
	case ignore("body"):
	case utf8.Valid(env.Body):
		fmt.Fprintf(b, "body = %s\n", quote(string(env.Body)))
	default:
		fmt.Fprintf(b, "body_base64 = %s\n", quote(base64.StdEncoding.EncodeToString(env.Body)))
	}
}

// value writes the value of a header in TOML, if that can be.
func value(v any) (string, bool) {
	switch v := v.(type) {
	case bool, int8, uint8, int16, uint16, int32, uint32, int64:
		return fmt.Sprint(v), true
	case float32:
		return float(float64(v))
	case float64:
		return float(v)
	case string:
		return quote(v), utf8.ValidString(v)
	case []byte:
		return "{ bytes = " + quote(hex.EncodeToString(v)) + " }", true
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), v.Year() > 0 && v.Year() < 10000
	case []any:
		return list(v)
	case map[string]any:
		return table(v)
	}
	return "", false // null and decimals
}

func list(v []any) (string, bool) {
	var items []string
	for _, one := range v {
		text, ok := value(one)
		if !ok {
			return "", false
		}
		items = append(items, text)
	}
	return "[" + strings.Join(items, ", ") + "]", true
}

func table(m map[string]any) (string, bool) {
	var items []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		text, ok := value(m[name])
		if !ok {
			return "", false
		}
		items = append(items, quote(name)+" = "+text)
	}
	return "{ " + strings.Join(items, ", ") + " }", true
}

func float(f float64) (string, bool) {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(text, "IN") { // filters and brokers take finite numbers only
		return "", false
	}
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text, true
}

// quote writes a text as a basic string of TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
