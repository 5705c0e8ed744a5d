package filters_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// osloBodies returns the captures of package oslo that are text, some bodies as
// Python would not write them, and all of these with bytes changed or missing.
func osloBodies(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../oslo/testdata/captures/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	var list []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			Body     string
			Encoding string `json:"body_encoding"`
		}
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		if c.Encoding != "hex" {
			list = append(list, c.Body)
		}
	}
	for _, inner := range []string{
		` {"method" : "m\u00e9", "version":"1.4", "version": "2.0" , "args":{"a": [NaN, 1e400, -0, "\udc80\ud83d\ude00\ude00"]}} `,
		`{"method": "m", "namespace": "n", "version": "1.0", "_msg_id": "i", "_reply_q": "q", "_context_project_id": "p", "a": "é😀\/\b"}`,
		`{"event_type": "e", "priority": "INFO", "payload": null}`, `{"result": 1, "_msg_id": "i"}`, `{}`, `[]`, `"text"`, ``,
	} {
		list = append(list, inner, string(oslo.Seal(oslo.Raw(inner))), `{ "x": 1, "oslo.message":`+strconv.QuoteToASCII(inner)+`,"oslo.version" : "2.0"}`)
	}
	// Package oslo takes the version 2.0.0 too, as Python does; the filter does not,
	// and nobody sends it.
	for _, version := range []string{`"1.0"`, `"2.1"`, `2.0`, `null`} {
		list = append(list, `{"oslo.version": `+version+`, "oslo.message": "{\"method\": \"m\"}"}`)
	}
	random := rand.New(rand.NewPCG(5, 6)) // the same ones in every run
	for _, body := range list[:len(list):len(list)] {
		for range 20 {
			b := []byte(body)
			if len(b) == 0 {
				continue
			}
			switch i := random.IntN(len(b)); random.IntN(3) {
			case 0:
				b = append(b[:i], b[i+1:]...)
			case 1:
				b[i] = `"\{}[],:u0 eN-`[random.IntN(14)]
			default:
				b = b[:i]
			}
			list = append(list, string(b))
		}
	}
	return list
}

// TestOsloRouterReadsAsPackageOsloDoes holds the two readers of oslo.messaging's
// messages against each other: what is malformed, what kind of message it is,
// its method and version, and what becomes of a body whose version is replaced.
func TestOsloRouterReadsAsPackageOsloDoes(t *testing.T) {
	rule := func(kind string) map[string]any {
		return map[string]any{"type": kind, "version": []any{"0.0..9.0"}, "send": "topic:" + kind + "/{method}", "set_version": "5.4"}
	}
	f, err := loadFilter(t, "oslo-router", stock(t, "oslo-router"), map[string]any{"rules": []any{
		rule("call"), rule("cast"),
		map[string]any{"type": "notification", "send": "queue:notification"},
		map[string]any{"type": "reply", "send": "queue:reply"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, body := range osloBodies(t) {
		env := router.NewEnvelope(map[string]any{}, []byte(body))
		var d router.Decision
		err := f.Run(t.Context(), router.Decide, &env, &d)
		b, herr := oslo.ReadBody([]byte(body))
		if herr != nil {
			kinds["malformed"]++
			if err == nil || !strings.Contains(err.Error(), "malformed") {
				t.Errorf("%q\n  oslo: %v\nfilter: %v, %v", body, herr, err, d)
			}
			continue
		}
		message := b.Message()
		want := ""
		switch oslo.KindOf(message) {
		case oslo.KindNotification:
			want = "queue:notification"
		case oslo.KindReply:
			want = "queue:reply"
		case oslo.KindRequest:
			want = osloTarget(message)
		}
		kind, _, _ := strings.Cut(want, "/")
		kinds[kind]++
		got := ""
		if len(d.Targets) > 0 {
			got = d.Targets[0].String()
		}
		if err != nil || got != want {
			t.Errorf("%q\n  oslo: %q\nfilter: %q %v", body, want, got, err)
		}
		if !strings.HasPrefix(want, "topic:") {
			if string(env.Body) != body {
				t.Errorf("%q became %q", body, env.Body)
			}
			continue
		}
		_, had := message.Get("version")
		message.Set("version", oslo.String("5.4"))
		if had && string(env.Body) != string(b.Bytes()) {
			t.Errorf("%q\n  oslo: %q\nfilter: %q", body, b.Bytes(), env.Body)
		}
		// A new version is put elsewhere: what it says is the same.
		after, _, err := oslo.Open(env.Body)
		if err != nil {
			t.Errorf("%q became %q: %v", body, env.Body, err)
			continue
		}
		if diff := cmp.Diff(message.Value(), after.Value(), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%q (-oslo +filter):\n%s", body, diff)
		}
	}
	for _, kind := range []string{"malformed", "", "queue:reply", "queue:notification", "topic:call", "topic:cast"} {
		if kinds[kind] < 10 {
			t.Errorf("too few %q: these bodies show little", kind)
		}
	}
}

// osloTarget returns where the rules send a request; it is empty if its version
// is none.
func osloTarget(message *oslo.Object) string {
	r := oslo.ParseRequest(message)
	if r.Version == "" {
		r.Version = oslo.DefaultVersion
	}
	switch {
	case !oslo.Compatible(r.Version, r.Version):
		return ""
	case r.MsgID != "":
		return "topic:call/" + r.Method
	default:
		return "topic:cast/" + r.Method
	}
}
