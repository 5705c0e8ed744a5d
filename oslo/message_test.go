package oslo_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
)

func TestEnvelopesOfOtherVersionsAreRefused(t *testing.T) {
	for body, want := range map[string]error{
		`{"oslo.version": "2.0", "oslo.message": "{\"method\": \"m\"}"}`:             nil,
		`{"oslo.version": "2.0", "oslo.message": "{\"method\": \"m\"}", "extra": 1}`: nil,
		`{"oslo.version": "2.0", "method": "m"}`:                                     nil,
		`{"method": "mé"}`:                                                           nil,
		`{"oslo.version": "1.0", "oslo.message": "{}"}`:                              oslo.ErrMessage,
		`{"oslo.version": "2.1", "oslo.message": "{}"}`:                              oslo.ErrMessage,
		`{"oslo.version": "3.0", "oslo.message": "{}"}`:                              oslo.ErrMessage,
		`{"oslo.version": 2.0, "oslo.message": "{}"}`:                                oslo.ErrMessage,
		`{"oslo.version": "2.0", "oslo.message": {}}`:                                oslo.ErrMessage,
		`{"oslo.version": "2.0", "oslo.message": "[]"}`:                              oslo.ErrMessage,
		`{"oslo.version": "2.0", "oslo.message": "{"}`:                               oslo.ErrSyntax,
		`[1]`:              oslo.ErrMessage,
		`nonsense`:         oslo.ErrSyntax,
		"{\"a\":\"\xff\"}": oslo.ErrSyntax,
	} {
		if _, _, err := oslo.Open([]byte(body)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
}

func TestVersionsAreCompatibleWithinAMajorPart(t *testing.T) {
	for _, c := range []struct {
		have, want string
		ok         bool
	}{
		{"1.0", "1.0", true},
		{"1.2", "1.0", true},
		{"1.2", "1.2", true},
		{"1.2", "1.3", false},
		{"2.0", "1.0", false},
		{"1.9", "2.0", false},
		{"1.2.3", "1.2.3", true},
		{"1.2.3", "1.2.4", false},
		{"1.3", "1.2.9", true},
		{"1.2", "1.2.1", false},
		{"1.0", "1", false},
		{"1.0", "", false},
		{"1.0", "a.b", false},
		{"1.0", "null", false},
		{"1.0", "1.0.0.0", false},
	} {
		if got := oslo.Compatible(c.have, c.want); got != c.ok {
			t.Errorf("%s for %s: %v", c.have, c.want, got)
		}
	}
}

func TestKeepAliveIsHalfTheWholeSeconds(t *testing.T) {
	for timeout, want := range map[string]time.Duration{
		`2`: time.Second, `3`: 1500 * time.Millisecond, `2.9`: time.Second, `"2"`: time.Second, `" 4 "`: 2 * time.Second, `1e400`: 0, `1e300`: 24 * time.Hour,
		`1`: 500 * time.Millisecond, `"1"`: 500 * time.Millisecond, `0.5`: 250 * time.Millisecond, `1e-300`: 100 * time.Millisecond, `2e4`: 10000 * time.Second,
		`0`: 0, `-0.0`: 0, `-5`: 0, `-Infinity`: 0, `{}`: 0, `true`: 0, `null`: 0, `"2.5"`: 0, `"abc"`: 0, `NaN`: 0, `Infinity`: 0, `[2]`: 0, ``: 0,
	} {
		r := oslo.Request{Timeout: oslo.Raw(timeout)}
		if got := r.KeepAlive(); got != want {
			t.Errorf("%s: %v, want %v", timeout, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "null", 2 * time.Second: "2", 1500 * time.Millisecond: "1.5"} {
		if got := string(oslo.Seconds(d)); got != want {
			t.Errorf("%v is %s", d, got)
		}
	}
}

func TestLenientRequests(t *testing.T) {
	parse := func(text string) oslo.Request {
		o, err := oslo.ParseObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return oslo.ParseRequest(&o)
	}
	r := parse(`{"method": 5, "args": null, "namespace": null, "version": null, "_msg_id": "i", "_reply_q": "q", "other": 1}`)
	if r.Method != "" || r.Namespace != nil || oslo.Compatible("1.0", r.Version) || r.Version == "" || !r.IsCall() {
		t.Errorf("%+v", r)
	}
	if _, err := r.Arguments(); !errors.Is(err, oslo.ErrMessage) {
		t.Errorf("null arguments: %v", err)
	}
	r = parse(`{"method": "m", "namespace": ""}`)
	if args, err := r.Arguments(); err != nil || args.Len() != 0 || r.Namespace == nil || r.Version != "" || r.IsCall() {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRepliesOfOddPeers(t *testing.T) {
	parse := func(text string) (oslo.Reply, error) {
		o, err := oslo.ParseObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return oslo.ParseReply(&o)
	}
	for text, ending := range map[string]bool{
		`{"_msg_id": "i", "result": 1}`:                                     true,
		`{"_msg_id": "i", "result": false, "ending": false}`:                true,
		`{"_msg_id": "i", "ending": true}`:                                  true,
		`{"_msg_id": "i", "result": null, "failure": null, "ending":false}`: false,
		`{"_msg_id": "i", "failure": "text", "ending": false}`:              true,

		`{"_msg_id": "i"}`:                false,
		`{"_msg_id": "i", "ending": 1}`:   true,
		`{"_msg_id": "i", "ending": ""}`:  false,
		`{"_msg_id": "i", "ending": 0.0}`: false,
	} {
		if r, err := parse(text); err != nil || r.Ending != ending {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
	}
	if _, err := parse(`{"result": 1}`); !errors.Is(err, oslo.ErrMessage) {
		t.Errorf("no id: %v", err)
	}
	for _, none := range []string{`null`, `""`, `{}`, `[ ]`, `0`, `-0.0`, `false`} {
		if r, err := parse(`{"_msg_id": "i", "ending": true, "result": 7, "failure": ` + none + `}`); err != nil || r.Failure != nil || string(r.Result) != "7" {
			t.Errorf("failure %s: %+v, %v", none, r, err)
		}
	}
	for _, some := range []string{`"{}"`, `[0]`, `{"class": "E"}`, `1e400`, `true`, `NaN`} {
		if r, err := parse(`{"_msg_id": "i", "failure": ` + some + `}`); err != nil || r.Failure == nil {
			t.Errorf("failure %s: %+v, %v", some, r, err)
		}
	}
	for text, want := range map[string]oslo.Failure{
		`{"class": "E", "module": "exceptions", "message": "m", "tb": ["a", 1, "b"]}`: {Class: "E", Module: "builtins", Message: "m", Traceback: []string{"a", "b"}},
		`"{\"class\": \"E\"}"`: {Class: "E"},
		`"just text"`:          {Message: "just text"},
		`17`:                   {Message: "17"},
	} {
		if diff := cmp.Diff(want, oslo.ParseFailure(oslo.Raw(text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestARemoteClassGoesOnUnderItsOwnName(t *testing.T) {
	f := oslo.Failure{Class: "Lost_Remote", Module: "shop.errors_Remote", Message: "é", Traceback: []string{"x\n", "y"}}
	want := `{"class": "Lost", "module": "shop.errors", "message": "\u00e9", "tb": ["x\n", "y"], "args": ["\u00e9"], "kwargs": {}}`
	if got := string(f.Encode()); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestNotificationTimestamps(t *testing.T) {
	whole := time.Date(2026, 11, 22, 22, 28, 33, 0, time.UTC)
	for want, at := range map[string]time.Time{
		`"2026-11-22 22:28:33"`:        whole,
		`"2026-11-22 22:28:33.000700"`: whole.Add(700 * time.Microsecond).In(time.FixedZone("x", 3600)),
	} {
		n := oslo.Notification{EventType: "e", Priority: "Info", Timestamp: at}
		o, err := oslo.ParseObject(n.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := o.Get("timestamp"); string(got) != want {
			t.Errorf("%v is %s", at, got)
		}
		back, err := oslo.ParseNotification(&o)
		if err != nil || !back.Timestamp.Equal(at) || back.Priority != "info" || o.Text("priority") != "INFO" {
			t.Errorf("%+v, %v", back, err)
		}
	}
	for _, text := range []string{"2026-11-22 22:28:33", "2026-11-22T22:28:33.0", "2026-11-22T23:28:33+01:00", "2026-11-22 22:28:33+00:00"} {
		o, _ := oslo.ParseObject([]byte(`{"event_type": "e", "timestamp": "` + text + `"}`))
		if n, err := oslo.ParseNotification(&o); err != nil || !n.Timestamp.Equal(whole) {
			t.Errorf("%s: %v, %v", text, n.Timestamp, err)
		}
	}
	o, _ := oslo.ParseObject([]byte(`{"event_type": "e", "payload": "text", "priority": 3, "timestamp": "soon"}`))
	if n, err := oslo.ParseNotification(&o); err != nil || string(n.Payload) != `"text"` || !n.Timestamp.IsZero() {
		t.Errorf("%+v, %v", n, err)
	}
	o, _ = oslo.ParseObject([]byte(`{"method": "m"}`))
	if _, err := oslo.ParseNotification(&o); !errors.Is(err, oslo.ErrMessage) {
		t.Error(err)
	}
}

func TestContentTypes(t *testing.T) {
	for ct, ok := range map[string]bool{
		"": true, "application/json": true, "Application/JSON; charset=utf-8": true, `application/json; charset="UTF-8"; x=y`: true,
		"text/plain": false, "application/json; charset=latin-1": false, "application/jsonx": false,
	} {
		if err := oslo.CheckContentType(ct); (err == nil) != ok || err != nil && !errors.Is(err, oslo.ErrContent) {
			t.Errorf("%q: %v", ct, err)
		}
	}
}

// bzip2 of 1,000 letters a.
const bz2text = "425a683931415926535949dc4f630000018101a00000800008200020aa6d4198ba83c5dc914e1424127713d8c0"

func TestDecompressionIsBounded(t *testing.T) {
	letters := bytes.Repeat([]byte("a"), 1000)
	packed, err := hex.DecodeString(bz2text)
	if err != nil {
		t.Fatal(err)
	}
	for compression, body := range map[string][]byte{"": letters, "gzip": oslo.Compress(letters), "bzip2": packed, oslo.CompressionGzip: oslo.Compress(letters), oslo.CompressionBzip2: packed} {
		if out, err := oslo.Decompress(compression, body, 1000); err != nil || !bytes.Equal(out, letters) {
			t.Errorf("%q: %d bytes, %v", compression, len(out), err)
		}
		if _, err := oslo.Decompress(compression, body, 999); !errors.Is(err, oslo.ErrTooLarge) {
			t.Errorf("%q beyond the limit: %v", compression, err)
		}
		if compression == "" {
			continue
		}
		for _, damaged := range [][]byte{nil, []byte("nonsense"), body[:len(body)-5]} {
			if out, err := oslo.Decompress(compression, damaged, 1000); !errors.Is(err, oslo.ErrContent) {
				t.Errorf("%q damaged: %d bytes, %v", compression, len(out), err)
			}
		}
	}
	if _, err := oslo.Decompress("lzma", letters, 1000); !errors.Is(err, oslo.ErrContent) {
		t.Error(err)
	}
}

func TestIDs(t *testing.T) {
	id, dashed := oslo.NewID(), oslo.NewMessageID()
	if len(id) != 32 || id[12] != '4' || id == oslo.NewID() {
		t.Error(id)
	}
	if len(dashed) != 36 || dashed[14] != '4' || dashed[8] != '-' {
		t.Error(dashed)
	}
	if q := oslo.NewReplyQueue(); len(q) != 38 || q[:6] != "reply_" {
		t.Error(q)
	}
}
