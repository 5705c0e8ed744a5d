package recording

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/app/cases"
	"github.com/wasmrouter/router/app/offline"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/router"
)

const routerTOML = `
[filters.by_type]
path = "stock:content-router"
config = { field = "body:type", default = "reject", routes = { a = "queue:a", b = "queue:b", both = ["queue:a", "queue:b"] } }
[routes.orders]
listen = "in"
filters = ["by_type"]
allow = ["queue:*"]
[routes.other]
listen = "other"
send = ["queue:x"]
`

// write writes a file into dir and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func message(route, id, body string) *record.Record {
	env := router.NewEnvelope(map[string]any{"tenant": "acme"}, []byte(body))
	env.MessageID = id
	env.Origin = router.Origin{Queue: "in", Received: time.Unix(1, 0)}
	return &record.Record{Route: route, Received: env}
}

// recorded writes what a configuration makes of messages to a recording.
func recorded(t *testing.T, dir, config string, all []*record.Record) string {
	t.Helper()
	r, _, err := offline.Open(t.Context(), config, offline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		done, err := r.Run(t.Context(), one.Route, one.Received)
		if err != nil {
			t.Fatal(err)
		}
		one.Decision = done.Decision
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return stored(t, dir, all)
}

// stored writes records to a recording.
func stored(t *testing.T, dir string, all []*record.Record) string {
	t.Helper()
	path := filepath.Join(dir, "orders.rec")
	f, err := create(Files{Path: path, MaxSize: 1 << 30, Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if err := f.add(one); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// Ten thousand messages are held against a changed filter in seconds, and exactly
// those are told that it treats differently.
func TestTenThousandMessagesAgainstAChangedFilter(t *testing.T) {
	const n = 10_000
	dir := t.TempDir()
	config := write(t, dir, "router.toml", routerTOML)
	types := []string{"a", "b", "both", "none", "a", "a", "b", "b", "a", "a"}
	var all []*record.Record
	for i := range n {
		all = append(all, message("orders", fmt.Sprint(i), fmt.Sprintf(`{"type":%q,"n":%d}`, types[i%len(types)], i)))
	}
	file := recorded(t, dir, config, all)
	began := time.Now()
	same, err := Replay(t.Context(), ReplayOptions{Files: []string{file}, Config: config, Limit: n})
	if err != nil {
		t.Fatal(err)
	}
	if same.Messages != n || same.Same != n || len(same.Differences) != 0 {
		t.Fatalf("against the same filter: %+v", same)
	}
	changed := write(t, dir, "changed.toml", strings.Replace(routerTOML, `both = ["queue:a", "queue:b"]`, `both = "queue:c", none = "queue:a"`, 1))
	got, err := Replay(t.Context(), ReplayOptions{Files: []string{file}, Config: changed, Limit: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages, twice, in %v", n, time.Since(began))
	want := &Replayed{
		Messages: n, Same: n / 10 * 8, Different: n / 10 * 2, Unknown: map[string]int{},
		Kinds: map[string]int{
			"targets": n / 10 * 2, "action dead-letter -> forward": n / 10, "reason": n / 10, "filter": n / 10, "stage": n / 10,
		},
		Differences: []Difference{},
	}
	for i := range n {
		d := Difference{Message: i + 1, Route: "orders", ID: fmt.Sprint(i)}
		switch types[i%len(types)] {
		case "both":
			d.Changes = []Change{
				{What: "message", To: "queue:a", Was: "sent"},
				{What: "message", To: "queue:b", Was: "sent"},
				{What: "message", To: "queue:c", Now: "sent"},
			}
		case "none":
			d.Changes = []Change{
				{What: "action", Was: "dead-letter", Now: "forward"},
				{What: "reason", Was: "rejected"},
				{What: "filter", Was: "by_type"},
				{What: "stage", Was: "decide"},
				{What: "message", To: "queue:a", Now: "sent"},
			}
		default:
			continue
		}
		want.Differences = append(want.Differences, d)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%.4000s", diff)
	}
}

func TestEveryDifferenceIsSaid(t *testing.T) {
	dir := t.TempDir()
	config := write(t, dir, "router.toml", routerTOML+"[filters.rewrite]\npath = \"stock:rewrite\"\nconfig = { set = { tenant = \"other\" }, properties = { type = \"t\" } }\n[routes.changes]\nlisten = \"c\"\nfilters = [\"rewrite\"]\nsend = [\"queue:x\"]\n")
	queue := func(name string, env router.Envelope) record.Sent {
		return record.Sent{Target: router.Target{Kind: router.TargetQueue, Queue: name}, Envelope: env}
	}
	as := func(route, body string, d record.Decision) *record.Record {
		r := message(route, "", body)
		r.Decision = d
		return r
	}
	same := message("changes", "", "x\ny\n").Received
	other := message("other", "", "x\nz\n").Received
	all := []*record.Record{
		as("changes", "x", record.Decision{Action: "forward", Sent: []record.Sent{queue("x", message("", "", "x").Received)}}),
		as("other", "x\ny\n", record.Decision{Action: "forward", Sent: []record.Sent{queue("x", other)}}),
		as("other", "x\ny\n", record.Decision{Action: "dead-letter", Reason: "unroutable", Error: "no queue", Sent: []record.Sent{queue("x", same)}}),
		as("gone", "", record.Decision{Action: "forward"}),
		as("orders", `{"type":"no"}`, record.Decision{Action: "dead-letter", Reason: "rejected", Filter: "by_type", Stage: "decide"}),
		as("orders", `{"type":"no"}`, record.Decision{Action: "dead-letter", Reason: "rejected", Filter: "by_type", Stage: "decide", Error: "another reason"}),
	}
	file := stored(t, dir, all)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	torn := write(t, dir, "torn.rec", string(data[:len(data)-1]))
	options := ReplayOptions{Files: []string{file, torn}, Config: config, Limit: 2}
	got, err := Replay(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := got.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := `#1 changes
  type to queue:x: none -> "t"
  header tenant to queue:x: "acme" -> "other"
#2 other
  body to queue:x
      x
    - z
    + y
and 1 more messages that differ
5 messages, 2 as before, 3 different
  1 body
  1 error
  1 header tenant
  1 type
1 messages of route gone were left out: the configuration has no such route
` + torn + `: the recording is torn at byte 23: it breaks off; what comes before was read
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	options.Ignore = []string{"body", "error", "header:tenant", "property:type"}
	if got, err = Replay(t.Context(), options); err != nil || got.Different != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	options.Routes, options.Filter = []string{"orders"}, map[string]string{"by_type": "../workbench/identity.wasm"} // which decides nothing
	if got, err = Replay(t.Context(), options); err != nil || got.Different != 2 || got.Differences[0].Changes[0].Now != "undecided" {
		t.Errorf("%+v, %v", got, err)
	}
	options.Routes, options.Filter = []string{"other"}, nil
	if got, err = Replay(t.Context(), options); err != nil || got.Messages != 2 || len(got.Unknown) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for want, change := range map[string]func(*ReplayOptions){
		`there is no route "none"`: func(o *ReplayOptions) { o.Routes = []string{"none"} },
		`"bodies" cannot be ignored; write body, error, header:NAME or property:NAME`: func(o *ReplayOptions) { o.Ignore = []string{"bodies"} },
		`there is no filter "none" to replace`:                                        func(o *ReplayOptions) { o.Filter = map[string]string{"none": "stock:cbor"} },
		`filter by_type: there is no built-in filter`:                                 func(o *ReplayOptions) { o.Filter = map[string]string{"by_type": "stock:none"} },
		`router.toml: it is no recording`:                                             func(o *ReplayOptions) { o.Files = []string{config} },
		`no such file`:                                                                func(o *ReplayOptions) { o.Files = []string{"none"} },
	} {
		bad := ReplayOptions{Files: []string{file}, Config: config}
		change(&bad)
		if _, err := Replay(t.Context(), bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestRecordedMessagesBecomeCasesThatPass(t *testing.T) {
	dir := t.TempDir()
	config := write(t, dir, "router.toml", routerTOML)
	odd := message("other", "odd", "\xff\x00")
	odd.Received.SetHeader("null", nil)
	odd.Received.SetHeader("all \"sorts\"", []any{
		int16(3), 1e300, float32(2), true, []byte{1}, time.Unix(1, 0), map[string]any{"a b": "\t\x01\\"},
	})
	odd.Received.Priority, odd.Received.Origin.RoutingKey = 3, "k"
	file := recorded(t, dir, config, []*record.Record{
		odd, message("orders", "1", `{"type":"a"}`), message("orders", "2", `{"type":"a","n":"\n"}`), message("orders", "3", `{"type":"both"}`),
		message("orders", "4", `{"type":"none"}`), message("orders", "5", "no JSON"),
	})
	out := filepath.Join(dir, "golden.test.toml")
	o := GoldenOptions{Files: []string{file}, Out: out, Each: 1}
	g, err := MakeGolden(o)
	if err != nil || g.Cases != 5 || g.Messages != 6 {
		t.Fatalf("%+v, %v", g, err)
	}
	report, err := cases.Run(t.Context(), cases.Options{Config: config, Files: []string{out}})
	if err != nil {
		t.Fatal(err)
	}
	if report.Passed != 5 || report.Failed != 0 {
		var text bytes.Buffer
		_ = report.WriteText(&text)
		t.Error(text.String())
	}
	changed := write(t, dir, "changed.toml", strings.Replace(routerTOML, `both = ["queue:a", "queue:b"]`, `both = "queue:c"`, 1))
	if report, err = cases.Run(t.Context(), cases.Options{Config: changed, Files: []string{out}}); err != nil || report.Failed != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if _, err := MakeGolden(o); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Error(err)
	}
	o.Out, o.Routes = filepath.Join(dir, "none.test.toml"), []string{"none"}
	if _, err := MakeGolden(o); err == nil || !strings.Contains(err.Error(), "no message") {
		t.Error(err)
	}
}

// queueSender takes messages and confirms them, but those of one id.
type queueSender struct {
	got []string
	bad string
}

func (q *queueSender) Send(_ context.Context, to router.Target, env *router.Envelope, receipt router.Receipt) error {
	if env.MessageID == q.bad {
		receipt.Settle(router.ErrUnroutable)
		return nil
	}
	q.got = append(q.got, to.String()+" "+env.MessageID)
	receipt.Settle(nil)
	return nil
}

func (q *queueSender) Close() {}

func TestRecordedMessagesAreSentAgain(t *testing.T) {
	dir := t.TempDir()
	var all []*record.Record
	for i := range 4 {
		all = append(all, message([]string{"orders", "other"}[i%2], fmt.Sprint(i), ""))
	}
	file := stored(t, dir, all)
	q := &queueSender{bad: "2"}
	r, err := Send(t.Context(), q, SendOptions{Files: []string{file}, Routes: []string{"orders"}, Rate: 1e6})
	if err == nil || err.Error() != "1 messages have not arrived; the first: queue:in: unroutable" || r.Sent != 1 || r.Failed != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	q.bad = ""
	r, err = Send(t.Context(), q, SendOptions{Files: []string{file}, To: router.Target{Kind: router.TargetQueue, Queue: "new"}, Rate: 1e6})
	if err != nil || r.Sent != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	if want := []string{"queue:in 0", "queue:new 0", "queue:new 1", "queue:new 2", "queue:new 3"}; !slices.Equal(q.got, want) {
		t.Error(q.got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := Send(ctx, q, SendOptions{Files: []string{file}, Rate: 0.001}); err == nil || r.Sent > 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
