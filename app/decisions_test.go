package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/testkit"
)

// What became of messages can be looked at, and what is in them only where that is
// allowed.
func TestDecisionsOfMessages(t *testing.T) {
	text := embeddedRouter(t, testkit.FreeAddress(t), "20s") + `
[filters.f]
path = "stock:content-router"
config = { field = "body:type", routes = { x = "queue:out", y = "queue:nowhere" }, default = "reject" }
[routes.judged]
listen = "judged"
filters = ["f"]
allow = ["queue:*"]
[queues.judged]
`
	in := start(t, text)
	conn, err := amqp091.Dial(in.broker())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	decide := func(body string) app.Decision {
		t.Helper()
		var got app.Decisions
		before := len(in.decisions("judged").Decisions)
		// Of messages that come quickly one after the other not all are followed.
		await(t, "a decision", func() (bool, string) {
			err := ch.PublishWithContext(t.Context(), "", "judged", false, false, amqp091.Publishing{
				MessageId: "m", ContentType: "application/json", Headers: amqp091.Table{"h": "in a header"}, Body: []byte(body),
			})
			if err != nil {
				t.Fatal(err)
			}
			got = in.decisions("judged")
			return len(got.Decisions) > before && got.Decisions[0].Bytes == len(body), fmt.Sprint(got)
		})
		return got.Decisions[0]
	}
	want := app.Decision{
		Route: "judged", MessageID: "m", RoutingKey: "judged", ContentType: "application/json", Bytes: 12, Attempts: 1,
		Steps:   []app.DecisionStep{{Filter: "f", Stage: "decide", Action: "forward", Targets: []string{"queue:out"}}},
		Sends:   []app.DecisionSend{{Target: "queue:out", Result: "ok"}},
		Verdict: "forward",
	}
	varying := cmpopts.IgnoreFields(app.Decision{}, "At", "Took")
	times := cmpopts.IgnoreFields(app.DecisionStep{}, "Took")
	got := decide(`{"type":"x"}`)
	if diff := cmp.Diff(want, got, varying, times); diff != "" {
		t.Errorf("routed: %s", diff)
	}
	if got.Took <= 0 || got.At.IsZero() {
		t.Errorf("took %v from %v on", got.Took, got.At)
	}

	got = decide(`{"type":"y","a":1}`)
	wantSends := []app.DecisionSend{{Target: "queue:nowhere", Result: "failed"}, {Target: "queue:judged.dead", Result: "ok"}}
	if diff := cmp.Diff(wantSends, got.Sends, cmpopts.IgnoreFields(app.DecisionSend{}, "Error")); diff != "" {
		t.Errorf("unroutable: %s", diff)
	}
	if got.Verdict != "reject" || got.Reason != "unroutable" || got.Error == "" || got.Sends[0].Error == "" {
		t.Errorf("unroutable: %+v", got)
	}

	got = decide(`{"type":"z"}    `)
	if got.Verdict != "reject" || got.Reason != "rejected" || got.Filter != "f" || got.Stage != "decide" || got.Error != "" || len(got.Steps) != 1 || got.Steps[0].Action != "reject" {
		t.Errorf("rejected: %+v", got)
	}
	if code, _, body := in.request(request{"GET /api/decisions", "/api/decisions?limit=2", "", 200}); code != 200 || strings.Count(string(body), `"verdict"`) != 2 ||
		strings.Contains(string(body), "in a header") || strings.Contains(string(body), `"body`) {
		t.Errorf("two of all: %d %s", code, body)
	}

	in.mustReload(strings.Replace(text, "[admin]\n", "[admin]\nbodies = true\n", 1))
	long := `{"type":"x","of":"` + strings.Repeat("ü", 3000) + `"}`
	got = decide(long)
	if got.Headers["h"] != "in a header" || len(got.Body) < 4<<10-1 || !strings.HasPrefix(long, got.Body) || got.BodyBase64 != "" {
		t.Errorf("with bodies: %d bytes, %+v", len(got.Body), got)
	}
	if got = decide(`{"type":"z"}`); !strings.Contains(got.Error, "= z") {
		t.Errorf("a filter's words: %+v", got)
	}
	if got = decide("\xff\xfe"); got.BodyBase64 != "//4=" || got.Body != "" {
		t.Errorf("bytes: %+v", got)
	}
	in.mustReload(text)
	if got := in.decisions("judged"); got.Bodies || len(got.Decisions) > 0 {
		t.Errorf("bodies are hidden again, and there are %+v", got)
	}
}

// decisions asks for the decisions of a route.
func (in *instance) decisions(route string) (d app.Decisions) {
	in.t.Helper()
	code, _, body := in.request(request{"GET /api/decisions", "/api/decisions?route=" + route, "", 200})
	if err := json.Unmarshal(body, &d); err != nil || code != 200 {
		in.t.Fatalf("decisions: %d %s", code, body)
	}
	return d
}
