package osloroute_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// captures returns messages as real peers put them on the wire, by name.
func captures(t testing.TB) map[string]router.Envelope {
	t.Helper()
	files, err := filepath.Glob("../testdata/captures/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("captures: %d, %v", len(files), err)
	}
	all := make(map[string]router.Envelope)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			Body         string
			BodyEncoding string `json:"body_encoding"`
			Headers      map[string]any
			Properties   struct {
				ContentType     string `json:"content_type"`
				ContentEncoding string `json:"content_encoding"`
				DeliveryMode    uint8  `json:"delivery_mode"`
				Expiration      string
			}
		}
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(file, err)
		}
		body := []byte(c.Body)
		if c.BodyEncoding == "hex" {
			if body, err = hex.DecodeString(c.Body); err != nil {
				t.Fatal(file, err)
			}
		}
		env := router.NewEnvelope(c.Headers, body)
		env.ContentType, env.ContentEncoding = c.Properties.ContentType, c.Properties.ContentEncoding
		env.DeliveryMode, env.Expiration = c.Properties.DeliveryMode, c.Properties.Expiration
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = env
	}
	return all
}

func anywhere(string) bool { return true }

// lane returns an instance of the format of requests.
func lane(t testing.TB) router.Format {
	t.Helper()
	r, err := osloroute.NewRequests(osloroute.Config{Route: "r", MaxBody: 1 << 20, Permits: anywhere})
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Format(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// through decodes a message, lets a filter change it and encodes it again.
func through(t testing.TB, f router.Format, env router.Envelope, filter func(*router.Envelope)) router.Envelope {
	t.Helper()
	out, err := pass(f, env, 0, filter)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func pass(f router.Format, env router.Envelope, nth int, filter func(*router.Envelope)) (router.Envelope, error) {
	out := env.Clone()
	if err := f.Run(context.Background(), router.Decode, &out, &router.Decision{}); err != nil {
		return out, err
	}
	own := out.Clone()
	if filter != nil {
		filter(&own)
	}
	err := f.Run(context.Background(), router.Encode, &own, &router.Decision{Emission: nth})
	return own, err
}

// request wraps an inner message as a peer sends it.
func request(inner string) router.Envelope {
	env := router.NewEnvelope(map[string]any{"x-death": []any{"once"}}, oslo.Seal(oslo.Raw(inner)))
	env.ContentType, env.ContentEncoding, env.DeliveryMode = oslo.ContentType, oslo.ContentEncoding, oslo.DeliveryMode
	return env
}

// innerOf returns the message within a body.
func innerOf(t testing.TB, env *router.Envelope) string {
	t.Helper()
	compression, _ := env.Headers()[oslo.HeaderCompression].(string)
	text, err := oslo.Decompress(compression, env.Body, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	message, _, err := oslo.Open(text)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return string(message.Raw())
}

var exact = cmp.AllowUnexported(router.Envelope{})

func same(t *testing.T, want, got router.Envelope) {
	t.Helper()
	want, got = want.Clone(), got.Clone() // which makes the flag of ownership the same
	if diff := cmp.Diff(want, got, exact); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWhatNoFilterChangesLeavesAsItCame(t *testing.T) {
	for name, env := range captures(t) {
		t.Run(name, func(t *testing.T) {
			f := lane(t)
			same(t, env, through(t, f, env, nil))
			// A filter that writes what was there, and one that only looks.
			same(t, env, through(t, f, env, func(e *router.Envelope) {
				for name, value := range e.Headers() {
					e.SetHeader(name, value)
				}
				e.Body = slices.Clone(e.Body)
			}))
			same(t, env, through(t, f, env, func(e *router.Envelope) { e.Type = "whatever" }))
			bare := newDesk(t, func(c *osloroute.Config) { c.Bare, c.Calls = true, nil })
			same(t, env, through(t, bare.requests, env, func(e *router.Envelope) {
				if string(e.Body) != string(env.Body) {
					t.Errorf("a bare message shows %s", e.Body)
				}
			}))
		})
	}
}

func TestWhatFiltersSee(t *testing.T) {
	type seen struct {
		Body, MessageID, CorrelationID, ReplyTo, Type string
		Headers                                       map[string]any
	}
	got := map[string]seen{}
	for name, env := range captures(t) {
		e := env.Clone()
		if err := lane(t).Run(t.Context(), router.Decode, &e, &router.Decision{}); err != nil {
			t.Fatal(name, err)
		}
		got[name] = seen{string(e.Body), e.MessageID, e.CorrelationID, e.ReplyTo, e.Type, e.Headers()}
	}
	for name, want := range map[string]seen{
		"01-call-request": {
			`{"method": "echo", "args": {"value": "h\u00e9llo"}}`, "9f73afb5b242417296c1ff95a377202a",
			"6563ccee3030418ea4411a593ec4129b", "reply_3fe271b4a9bc4ca3a8815a5bb59c2d3b", "call",
			map[string]any{"user_id": "u1", "is_admin": true, "request_id": "req-1"},
		},
		"03-cast": {
			`{"method": "tag", "args": {"tag": "t1"}}`, "7e682ce0526841daaa431a15a2b87383", "", "", "cast",
			map[string]any{"user_id": "u1"},
		},
		"12-reply-heartbeat": {
			`{"result": null, "failure": null, "ending": false}`, "63c040b7e94d43cb9360f196bf623769",
			"1d8b7f7ac47840ce99b3f2f34fe50c97", "", "reply", nil,
		},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	for name, want := range map[string]string{"15-notification-v2-info": "notification", "16-notification-v1-warn": "notification", "17-call-compressed-gzip": "call"} {
		if got[name].Type != want {
			t.Errorf("%s is a %s, want %s", name, got[name].Type, want)
		}
	}
}

const (
	ids  = `"_msg_id": "m1", "_reply_q": "reply_1", "_timeout": null, "_unique_id": "u1"`
	call = `{"method": "m", "args": {"n": 1.0, "big": 123456789012345678901234567890, "s": "\udc80"}, ` + ids +
		`, "_context_user": "u", "_context_n": 7, "_context_f": 1e3, "_context_nan": NaN, "_context_big": 123456789012345678901234567890, ` +
		`"_context_roles": ["a", 1.50], "_context_t": {"x": {"y": null}}, "_context_lone": "\udc80", "_context_": "nameless"}`
)

func TestTheContextAsHeaders(t *testing.T) {
	env := request(call)
	if err := lane(t).Run(t.Context(), router.Decode, &env, &router.Decision{}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"user": "u", "n": int64(7), "f": 1000.0, "nan": math.NaN(), "big": "123456789012345678901234567890",
		"roles": []any{"a", 1.5}, "t": map[string]any{"x": map[string]any{"y": nil}}, "lone": "\xed\xb2\x80",
	}
	nan := cmp.Comparer(func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })
	if diff := cmp.Diff(want, env.Headers(), nan); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOnlyWhatChangesIsSpliced(t *testing.T) {
	set := func(name string, v any) func(*router.Envelope) {
		return func(e *router.Envelope) { e.SetHeader(name, v) }
	}
	del := func(name string) func(*router.Envelope) { return func(e *router.Envelope) { e.DelHeader(name) } }
	body := func(old, new string) func(*router.Envelope) {
		return func(e *router.Envelope) { e.Body = []byte(strings.Replace(string(e.Body), old, new, 1)) }
	}
	for name, test := range map[string]struct {
		filter   func(*router.Envelope)
		old, new string // in the inner message
	}{
		"a context entry":      {set("user", "ü\n"), `"_context_user": "u"`, `"_context_user": "\u00fc\n"`},
		"another type":         {set("n", 7.0), `"_context_n": 7`, `"_context_n": 7.0`},
		"a list":               {set("roles", "none"), `["a", 1.50]`, `"none"`},
		"a list for a list":    {set("roles", []any{"a", 1.5}), `["a", 1.50]`, `["a", 1.5]`},
		"a new context entry":  {set("tenant", int64(3)), `"nameless"}`, `"nameless", "_context_tenant": 3}`},
		"a lost context entry": {del("user"), `"_context_user": "u", `, ``},
		"bytes":                {set("user", []byte("x")), `"_context_user": "u"`, `"_context_user": "x"`},
		"a version":            {body(`"args"`, `"version": "1.4", "args"`), `"args"`, `"version": "1.4", "args"`},
		"an argument":          {body(`1.0`, `2.0`), `1.0`, `2.0`},
		"the unique id":        {func(e *router.Envelope) { e.MessageID = "new" }, `"u1"`, `"new"`},
		"the message id":       {func(e *router.Envelope) { e.CorrelationID = "new" }, `"m1"`, `"new"`},
		"the reply queue":      {func(e *router.Envelope) { e.ReplyTo = "reply_2" }, `"reply_1"`, `"reply_2"`},
		"no reply queue":       {func(e *router.Envelope) { e.ReplyTo = "" }, `"_reply_q": "reply_1", `, ``},
		"what filters may not": {body(`"method"`, `"_msg_id": "forged", "_context_user": "root", "method"`), ``, ``},
		"all of the context":   {func(e *router.Envelope) { e.ClearHeaders() }, call[strings.Index(call, `, "_context_user"`):], `}`},
	} {
		t.Run(name, func(t *testing.T) {
			env := request(call)
			out := through(t, lane(t), env, test.filter)
			if got, want := innerOf(t, &out), strings.Replace(call, test.old, test.new, 1); got != want {
				t.Errorf("the message is\n%s\nwant\n%s", got, want)
			}
			out.Body = env.Body
			same(t, env, out)
		})
	}
}

func TestAChangedMessageLeavesInItsOwnWrapping(t *testing.T) {
	all := captures(t)
	change := func(e *router.Envelope) { e.SetHeader("tenant", "t") }
	for name, check := range map[string]func(*router.Envelope) bool{
		"01-call-request":         func(e *router.Envelope) bool { return strings.HasPrefix(string(e.Body), `{"oslo.version": "2.0"`) },
		"16-notification-v1-warn": func(e *router.Envelope) bool { return strings.HasPrefix(string(e.Body), `{"message_id"`) },
		"17-call-compressed-gzip": func(e *router.Envelope) bool { return e.Body[0] == 0x78 },
	} {
		out := through(t, lane(t), all[name], change)
		if !check(&out) {
			t.Errorf("%s: the body is %.60q", name, out.Body)
		}
		if inner := innerOf(t, &out); !strings.HasSuffix(inner, `, "_context_tenant": "t"}`) {
			t.Errorf("%s: the message is %s", name, inner)
		}
	}
	env := request(call)
	env.Body = []byte(strings.Replace(string(env.Body), "{", `{"more": [1.0], `, 1))
	out := through(t, lane(t), env, change)
	if !strings.HasPrefix(string(out.Body), `{"more": [1.0], "oslo.version"`) {
		t.Errorf("the envelope has lost a member: %.80s", out.Body)
	}
}

func TestWhatFiltersMakeIsToldApart(t *testing.T) {
	f := lane(t)
	unique := func(nth int, filter func(*router.Envelope)) string {
		out, err := pass(f, request(call), nth, filter)
		if err != nil {
			t.Fatal(err)
		}
		o, err := oslo.ParseObject([]byte(innerOf(t, &out)))
		if err != nil {
			t.Fatal(err)
		}
		return o.Text("_unique_id")
	}
	first, again, second := unique(1, nil), unique(1, nil), unique(2, nil)
	if first == "u1" || len(first) != 32 || first != again || first == second {
		t.Errorf("unique ids of the first, again the first and the second: %s %s %s", first, again, second)
	}
	if got := unique(1, func(e *router.Envelope) { e.MessageID = "mine" }); got != "mine" {
		t.Errorf("a filter's own unique id became %s", got)
	}
}

func TestWhatIsNotUnderstood(t *testing.T) {
	for name, change := range map[string]func(*router.Envelope){
		"no JSON":               func(e *router.Envelope) { e.Body = []byte("hello") },
		"a list":                func(e *router.Envelope) { e.Body = []byte("[]") },
		"another version":       func(e *router.Envelope) { e.Body = []byte(strings.Replace(string(e.Body), "2.0", "3.0", 1)) },
		"another content type":  func(e *router.Envelope) { e.ContentType = "text/plain" },
		"unknown compression":   func(e *router.Envelope) { e.SetHeader("compression", "zstd") },
		"compression by number": func(e *router.Envelope) { e.SetHeader("compression", int64(1)) },
		"too large":             func(e *router.Envelope) { e.Body = make([]byte, 1<<20+1) },
	} {
		env := request(call)
		change(&env)
		before := env.Clone()
		err := lane(t).Run(t.Context(), router.Decode, &env, &router.Decision{})
		fe, ok := errors.AsType[*router.FilterError](err)
		if !ok || fe.Class != "invalid" || fe.Filter != osloroute.Name {
			t.Errorf("%s: %v", name, err)
		}
		same(t, before, env)
	}
	if _, err := pass(lane(t), request(call), 0, func(e *router.Envelope) { e.Body = []byte("no more") }); err == nil {
		t.Error("a body that is no object was sealed")
	}
	if _, err := pass(lane(t), request(call), 0, func(e *router.Envelope) { e.SetHeader("d", router.Decimal{Scale: 1, Value: 2}) }); err != nil {
		t.Errorf("a decimal: %v", err)
	}
}
