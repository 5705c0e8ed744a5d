package workbench

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// verdict is what became of one message, for people and as JSON.
type verdict struct {
	Message int `json:"message"` // from 1
	decisionJSON
	Copies []copyJSON  `json:"copies,omitempty"`
	Error  *errorJSON  `json:"error,omitempty"`
	Calls  []stageJSON `json:"calls"`
}

// decisionJSON is what is to become of a message, or of a copy.
type decisionJSON struct {
	Action  string       `json:"action"` // "none" when the filter decided nothing
	Targets []string     `json:"targets"`
	Reason  string       `json:"reason,omitempty"`
	DelayMS int64        `json:"delay_ms,omitempty"`
	Stop    bool         `json:"stop,omitempty"`
	Changes []changeJSON `json:"changes"`
}

type changeJSON struct {
	What string `json:"what"`
	Old  any    `json:"old"`
	New  any    `json:"new"`
}

type copyJSON struct {
	Emitted int `json:"emitted,omitempty"` // from 1; 0 is a copy of the message itself
	decisionJSON
}

type errorJSON struct {
	Stage     string `json:"stage"`
	Class     string `json:"class"`
	Text      string `json:"text"`
	Retryable bool   `json:"retryable"`
	Hint      string `json:"hint,omitempty"`
}

type stageJSON struct {
	Stage string        `json:"stage"`
	Fuel  int64         `json:"fuel"`
	Took  time.Duration `json:"ns"`
}

func (o *Outcome) verdict(n int) *verdict {
	v := &verdict{Message: n, decisionJSON: decision(&o.Decision, &o.Before, &o.After), Calls: []stageJSON{}}
	for i := range o.Copies {
		c := &o.Copies[i]
		v.Copies = append(v.Copies, copyJSON{c.Emitted, decision(&c.Decision, &c.From, &c.Envelope)})
	}
	for _, c := range o.Calls {
		v.Calls = append(v.Calls, stageJSON{c.Stage.String(), c.Fuel, c.Took})
	}
	if o.Err != nil {
		v.Error = &errorJSON{o.Err.Stage.String(), o.Err.Class, oneLine(o.Err.Err), o.Err.Retryable, hint(o.Err)}
	}
	return v
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// hint says what to look at when a filter fails in a way that its text does not
// explain.
func hint(err *router.FilterError) string {
	switch err.Class {
	case wasmhost.ClassTrap:
		return "the filter crashed: read the input it was given, and log before the crash"
	case wasmhost.ClassDeadline:
		return "it ran longer than limits.time or limits.fuel allows"
	case wasmhost.ClassMemory:
		return "limits.memory is what an instance may have"
	case wasmhost.ClassInvalid:
		return "what it handed back breaks docs/ABI.md"
	}
	return ""
}

func decision(d *router.Decision, before, after *router.Envelope) decisionJSON {
	j := decisionJSON{
		Action: d.Action.String(), Targets: []string{}, Reason: d.Reason, DelayMS: d.Delay.Milliseconds(), Stop: d.Stop, Changes: []changeJSON{},
	}
	if d.Action == router.Undecided {
		j.Action = "none"
	}
	for _, t := range d.Targets {
		j.Targets = append(j.Targets, t.String())
	}
	for _, c := range Changes(before, after) {
		j.Changes = append(j.Changes, changeJSON{c.What, jsonValue(c.What, c.Old), jsonValue(c.What, c.New)})
	}
	return j
}

// JSON returns one side of a [Change] as it is in JSON: a body is text, or base64
// in an object; bytes and times of headers are written as messages have them.
func JSON(what string, v any) any { return jsonValue(what, v) }

// Show returns what JSON has returned on one line, cut where it gets long.
func Show(v any) string { return shown(v) }

// jsonValue is a value as JSON: a body is text, or base64 in an object; bytes
// and times of headers are written as messages have them.
func jsonValue(what string, v any) any {
	switch v := v.(type) {
	case null:
		return map[string]any{"null": true} // not the same as no header
	case []byte:
		if what != "body" {
			return map[string]any{"bytes": hex.EncodeToString(v)}
		}
		if utf8.Valid(v) {
			return string(v)
		}
		return map[string]any{"base64": base64.StdEncoding.EncodeToString(v)}
	case time.Time:
		return map[string]any{"time": v.UTC().Format(time.RFC3339)}
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = jsonValue("", v[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = jsonValue("", v[i])
		}
		return out
	case float32, float64:
		if _, err := json.Marshal(v); err != nil {
			return fmt.Sprint(v)
		}
	case router.Decimal:
		return fmt.Sprintf("%de-%d", v.Value, v.Scale)
	}
	return v
}

// writeText writes a verdict for people.
func (v *verdict) writeText(w io.Writer) error {
	var b strings.Builder
	if v.Error != nil {
		fmt.Fprintf(&b, "message %d: fails in %s: %s: %s\n", v.Message, v.Error.Stage, v.Error.Class, v.Error.Text)
		if v.Error.Hint != "" {
			fmt.Fprintf(&b, "  %s\n", v.Error.Hint)
		}
	} else {
		fmt.Fprintf(&b, "message %d: ", v.Message)
		v.decisionJSON.text(&b, "")
	}
	for _, c := range v.Copies {
		if c.Emitted == 0 {
			b.WriteString("  copy: ")
		} else {
			fmt.Fprintf(&b, "  emitted %d: ", c.Emitted)
		}
		c.decisionJSON.text(&b, "  ")
	}
	for _, c := range v.Calls {
		fmt.Fprintf(&b, "  %s took %s and %d fuel\n", c.Stage, rounded(c.Took), c.Fuel)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *decisionJSON) text(b *strings.Builder, indent string) {
	words := []string{"passes it on undecided"}
	if d.Action != "none" {
		words = []string{d.Action}
	}
	if len(d.Targets) > 0 {
		words = append(words, "to "+strings.Join(d.Targets, ", "))
	}
	if d.DelayMS > 0 {
		words = append(words, "after "+(time.Duration(d.DelayMS)*time.Millisecond).String())
	}
	if d.Reason != "" {
		words = append(words, "because "+strconv.Quote(d.Reason))
	}
	if d.Stop {
		words = append(words, "and stops the filters after it")
	}
	fmt.Fprintln(b, strings.Join(words, " "))
	for _, c := range d.Changes {
		fmt.Fprintf(b, "%s  %s: %s -> %s\n", indent, c.What, shown(c.Old), shown(c.New))
	}
}

// shown is a value on one line, cut where it gets long.
func shown(v any) string {
	if v == nil {
		return "none"
	}
	text, err := json.Marshal(v)
	if s, ok := v.(string); ok {
		text, err = []byte(strconv.Quote(s)), nil
	}
	if err != nil {
		text = []byte(fmt.Sprintf("%q", fmt.Sprint(v)))
	}
	text = []byte(OneLine(string(text)))
	const most = 200
	if len(text) <= most {
		return string(text)
	}
	return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(string(text[:most]), ""), len(text))
}

// rounded is a duration with the digits that mean something.
func rounded(d time.Duration) time.Duration {
	switch {
	case d < 10*time.Microsecond:
		return d.Round(10 * time.Nanosecond)
	case d < 10*time.Millisecond:
		return d.Round(time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// ErrNoMessages says that there was nothing to run.
var ErrNoMessages = errors.New("there was no message; give JSON such as {\"body\": {\"type\": \"created\"}} on standard input or in a file")
