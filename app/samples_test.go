package app

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/router"
)

// What is in a message that is in hand while a reload hides it is neither kept nor
// told, and neither is what a filter said of it; all else is.
func TestAReloadHidesWhatIsInHand(t *testing.T) {
	var told []Decision
	all := &samples{tell: func(d Decision) { told = append(told, d) }}
	all.reloaded(nil, true)
	of, first := all.of("r"), time.Now()
	// begin follows a message whose header and body, and the filter's error, are secret.
	begin := func(nth int, body string) router.Trace {
		e := router.NewEnvelope(map[string]any{"h": "secret"}, []byte(body))
		e.MessageID, e.Origin.Received = "m", first.Add(time.Duration(nth)*time.Minute)
		trace := of.Trace("r", &e)
		trace.Filtered(router.Step{Filter: "f", Stage: router.Decide, Err: &router.FilterError{
			Filter: "f", Stage: router.Decide, Class: "error", Err: errors.New("secret"),
		}})
		return trace
	}
	done := router.Outcome{Verdict: "reject", Loss: router.Loss{Reason: "filter-error", Filter: "f", Stage: "decide"}, Err: errors.New("secret")}
	open, text, bytes := begin(0, "secret"), begin(1, "secret"), begin(2, "\xff")
	open.Done(done)
	all.reloaded(map[string]*routePart{"r": {}}, false)
	text.Done(done)
	bytes.Done(done)

	kept, _ := all.newest("r", 10)
	if len(kept) != 2 || len(told) != 3 {
		t.Fatalf("%d are kept, %d were told", len(kept), len(told))
	}
	shown := func(d Decision) string {
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := shown(told[0]); strings.Count(got, "secret") != 4 {
		t.Errorf("before: %s", got)
	}
	for _, d := range append(kept, told[1:]...) {
		if got := shown(d); strings.Contains(got, "secret") || d.BodyBase64 != "" || d.MessageID != "m" || d.Steps[0].Error != "filter f: decide: error" {
			t.Errorf("afterwards: %s", got)
		}
	}
}
