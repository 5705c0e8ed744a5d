package harness

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Result is what a test has shown. It is written when the test ends, whether that
// passes or fails, so that a table of many results can be made of it.
type Result struct {
	Report
	Test       string            `json:"test"`
	Faults     map[string]int    `json:"faults"`         // how often each was injected
	InFlow     int               `json:"faults_in_flow"` // while messages were left in the source
	Window     int               `json:"window"`
	Repeats    int               `json:"repeats,omitempty"` // publishes of the test's own that it had to repeat
	Took       float64           `json:"took_seconds"`
	Recoveries []float64         `json:"recovery_seconds,omitempty"` // from a fault's end to the next settled message
	Struck     []string          `json:"struck,omitempty"`           // each fault with what was left in the source
	Notes      map[string]string `json:"notes,omitempty"`            // further figures by name
	Mixed      bool              `json:"mixed,omitempty"`            // no order is promised
	Failed     bool              `json:"failed,omitempty"`
}

// NewResult returns a result that is logged, and written as JSON into the folder that
// ROUTER_E2E_REPORTS names, when the test has ended. A [Trial] has one of its own.
func NewResult(t *testing.T, seed uint64) *Result {
	r := &Result{Report: Report{Seed: seed, DeadLetters: map[string]int{}}, Test: t.Name(), Faults: map[string]int{}}
	t.Cleanup(func() { r.publish(t) })
	return r
}

// Note adds a figure that the table of results shows beside the common ones, such as
// the share of an unrelated route's rate that was left. It replaces one of that name.
func (r *Result) Note(name, format string, args ...any) {
	if r.Notes == nil {
		r.Notes = map[string]string{}
	}
	r.Notes[name] = fmt.Sprintf(format, args...)
}

// Count returns how many faults there were.
func (r *Result) Count() (n int) {
	for _, c := range r.Faults {
		n += c
	}
	return n
}

// Bound returns how many duplicates are allowed.
func (r *Result) Bound() int { return r.Window*r.Count() + r.Repeats }

// publish logs the result and writes it as JSON into the folder that
// ROUTER_E2E_REPORTS names.
func (r *Result) publish(t *testing.T) {
	t.Helper()
	r.Failed = t.Failed()
	var text strings.Builder
	for _, fault := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&text, "%d × %s, ", r.Faults[fault], fault)
	}
	if r.Count() > 0 {
		fmt.Fprintf(&text, "%d while messages were on their way, in %.1f s, at most %d duplicates for each fault", r.InFlow, r.Took, r.Window)
	}
	if n := len(r.Recoveries); n > 0 {
		slices.Sort(r.Recoveries)
		fmt.Fprintf(&text, ", flow again after %.2f s (median), %.2f s (longest)", r.Recoveries[n/2], r.Recoveries[n-1])
	}
	text.WriteByte('\n')
	r.WriteText(&text)
	for _, name := range slices.Sorted(maps.Keys(r.Notes)) {
		fmt.Fprintf(&text, "  %s: %s\n", name, r.Notes[name])
	}
	if r.Failed {
		text.WriteString("the faults, with what was left in the source queue:\n" + strings.Join(r.Struck, "\n"))
	}
	t.Log(strings.TrimSpace(text.String()))
	dir := os.Getenv("ROUTER_E2E_REPORTS")
	if dir == "" {
		return
	}
	doc, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		name := fmt.Sprintf("%s-%d.json", strings.ReplaceAll(r.Test, "/", "-"), r.Seed)
		err = os.WriteFile(filepath.Join(dir, name), append(doc, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}
