package oslo_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
)

// answer is what the real oslo.messaging made of a case.
type answer struct{ OK, Error string }

// python puts all cases to one process with the real oslo.messaging.
func python(t *testing.T, cases []map[string]any) []answer {
	t.Helper()
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/python.py")
	cmd.Env = append(os.Environ(), "PYTHONWARNINGS=ignore", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var answers []answer
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(cases) {
		t.Fatalf("%d cases, %d answers, %v", len(cases), len(answers), err)
	}
	return answers
}

// arrival is a message as a receiver sees it.
func arrival(do, body string) map[string]any {
	return map[string]any{"do": do, "body": hex.EncodeToString([]byte(body)), "content_type": oslo.ContentType, "content_encoding": oslo.ContentEncoding}
}

// pythonic writes a value with the numbers that Python makes of the digits.
func pythonic(t *testing.T, v any) string {
	t.Helper()
	var numbers func(v any) any
	numbers = func(v any) any {
		switch v := v.(type) {
		case json.Number:
			if strings.ContainsAny(string(v), ".eE") {
				f, _ := strconv.ParseFloat(string(v), 64) // infinite beyond its range
				return f
			}
			if v == "-0" {
				return 0
			}
		case []any:
			for i := range v {
				v[i] = numbers(v[i])
			}
		case map[string]any:
			for key := range v {
				v[key] = numbers(v[key])
			}
		}
		return v
	}
	text, err := oslo.Marshal(numbers(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// bodies returns what peers might send: the captures, what has its own meaning
// in the format, and both with a few bytes changed or missing.
func bodies(t *testing.T) []string {
	var list []string
	for _, c := range captures(t) {
		list = append(list, string(c.plain(t)))
	}
	for _, inner := range []string{
		`{}`, ` {"method" : "m" } `, `{"a": [1, 1.0, -0, 1e400, 1e-400, 1208925819614629174706176, NaN, -Infinity, Infinity]}`,
		`{"a": "\udc80\ud83d\ude00\ude00\ud83d", "é": "\u00e9é😀", "\ud83d": 1}`, `{"a": 1, "a": 2, "": {"b": {"b": 3, "b": 4}}}`,
		`{"a": "\/\b\f\n\r\t\u007f\"\\"}`, "{\"a\": \"\t\"}", "{\"a\": \"\x7f\"}", `[1]`, `"text"`, `null`, `NaN`, ``, `{"a": 01}`, `{"a": .5}`, `{"a": 1.}`,
		`{"a": 1,}`, `{'a': 1}`, `{"a": nan}`, `{"a": -NaN}`, `{"a": +1}`, `{"a": "\x"}`, `{"a": "\u12"}`, `{"a": True}`, `{"a": 1}{}`, "\ufeff{}", `{"a" 1}`, `{1: 1}`,
		`{"a": "\uD83D\uDE00\uFFFF\u0000"}`, `{"a": 0.1e+7, "b": 1E-7, "c": 123456789012345678.0, "d": 1e16, "e": 9.999999999999999e15, "f": 0.0001, "g": 0.00001}`,
	} {
		list = append(list, inner, `{"oslo.version": "2.0", "oslo.message": `+strconv.QuoteToASCII(inner)+`}`, string(oslo.Seal(oslo.Raw(inner))))
	}
	for _, version := range []string{`"2.0"`, `"1.0"`, `"2.1"`, `"3.0"`, `2.0`, `null`, `"2"`, `"2.0.0"`, `"two"`, `""`, `["2.0"]`} {
		list = append(list, `{"x": 0, "oslo.version": `+version+`, "oslo.message": "{\"method\": \"m\"}"}`)
	}
	for _, message := range []string{`{}`, `"{}"`, `"[]"`, `""`, `null`, `1`} {
		list = append(list, `{"oslo.version": "2.0", "oslo.message": `+message+`}`)
	}
	list = append(list, `{"oslo.version": "2.0"}`, `{"oslo.message": "{}"}`, `{"oslo.version": "1.0", "oslo.version": "2.0", "oslo.message": "{}"}`, "{\"a\": \"\xff\"}", "{\"a\": \"\xed\xa0\x80\"}")

	random := rand.New(rand.NewPCG(1, 2)) // the same ones in every run
	for _, body := range list[:len(list):len(list)] {
		for range 8 {
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

func TestPythonReadsTheSameBodiesAndTheSameInThem(t *testing.T) {
	list := bodies(t)
	cases := make([]map[string]any, len(list))
	for i, body := range list {
		cases[i] = arrival("receive", body)
	}
	read := 0
	for i, a := range python(t, cases) {
		message, _, err := oslo.Open([]byte(list[i]))
		switch {
		case (err == nil) != (a.Error == ""):
			t.Errorf("%q\n   here: %v\n Python: %s %s", list[i], err, a.Error, a.OK)
		case err == nil:
			read++
			if got := pythonic(t, message.Value()); got != a.OK {
				t.Errorf("%q\n   here %s\n Python %s", list[i], got, a.OK)
			}
		}
	}
	if read < 100 || read > len(list)-100 {
		t.Errorf("%d of %d could be read: these cases show little", read, len(list))
	}
}

func TestPythonReadsRequestsTheSame(t *testing.T) {
	var cases []map[string]any
	var here []string
	ns := "n\u00e9"
	add := func(body []byte) {
		message, _, err := oslo.Open(body)
		if err != nil {
			t.Fatal(err)
		}
		r := oslo.ParseRequest(&message)
		rest := message.Clone()
		for name := range message.All() {
			switch {
			case strings.HasPrefix(name, oslo.ContextPrefix), name == "_msg_id", name == "_reply_q", name == "_timeout", name == "_unique_id":
				rest.Delete(name)
			}
		}
		orNil := func(s string) any {
			if s == "" {
				return nil
			}
			return s
		}
		here = append(here, pythonic(t, map[string]any{
			"rest": rest.Value(), "context": r.Context.Value(), "msg_id": orNil(r.MsgID), "reply_q": orNil(r.ReplyQueue), "timeout": mustValue(t, r.Timeout),
		}))
		cases = append(cases, arrival("request", string(body)))
	}
	for _, c := range captures(t) {
		body := c.plain(t)
		if message, _, _ := oslo.Open(body); oslo.KindOf(&message) == oslo.KindRequest {
			add(body)
		}
	}
	for _, r := range []oslo.Request{
		{Method: "m", UniqueID: oslo.NewID()},
		{Method: "\U0001f600\xff", Args: oslo.Raw(`{"a": [1.0, NaN, 1208925819614629174706176]}`), Namespace: &ns, Version: "1.4", UniqueID: oslo.NewID()},
		{Method: "m", MsgID: oslo.NewID(), ReplyQueue: oslo.NewReplyQueue(), UniqueID: oslo.NewID(), Timeout: oslo.Seconds(2500 * time.Millisecond)},
	} {
		r.Context.Set("is_admin", oslo.Raw("true"))
		r.Context.Set("roles", oslo.Raw(`["a", "\udc80"]`))
		text := r.Encode()
		add(text)
		add(oslo.Seal(text))
	}
	for i, a := range python(t, cases) {
		if a.Error != "" || here[i] != a.OK {
			t.Errorf("%d\n   here %s\n Python %s%s", i, here[i], a.OK, a.Error)
		}
	}
}

func mustValue(t *testing.T, r oslo.Raw) any {
	t.Helper()
	if r == nil {
		return nil
	}
	v, err := r.Value()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPythonSendsKeepAlivesAsOften(t *testing.T) {
	// Under two seconds Python sends none, and its caller gives up.
	more := map[string]time.Duration{`1`: 500 * time.Millisecond, `1.9`: 950 * time.Millisecond, `"1"`: 500 * time.Millisecond, `0.5`: 250 * time.Millisecond}
	timeouts := []string{`null`, `0`, `1`, `1.9`, `"1"`, `0.5`, `2`, `2.9`, `3`, `"2"`, `" 4 "`, `"+6"`, `"2.5"`, `"abc"`, `""`, `-5`, `"-5"`, `true`, `false`, `[2]`, `{}`, `60`, `1e3`, `"1e3"`, `NaN`, `Infinity`, `-Infinity`, `86400`}
	cases := make([]map[string]any, len(timeouts))
	for i, timeout := range timeouts {
		cases[i] = map[string]any{"do": "keepalive", "timeout": timeout}
	}
	for i, a := range python(t, cases) {
		seconds, err := strconv.ParseFloat(a.OK, 64)
		if err != nil {
			t.Fatalf("%s: %+v", timeouts[i], a)
		}
		want := time.Duration(seconds * float64(time.Second))
		if ours, ok := more[timeouts[i]]; ok {
			if want != 0 {
				t.Errorf("%s: Python does it every %v: the document and the code say never", timeouts[i], want)
			}
			want = ours
		}
		r := oslo.Request{Timeout: oslo.Raw(timeouts[i])}
		if got := r.KeepAlive(); got != want {
			t.Errorf("%s: every %v, Python every %v", timeouts[i], got, want)
		}
	}
}

func TestPythonTakesRepliesAsThisPackageWritesThem(t *testing.T) {
	failure := func(f oslo.Failure) *oslo.Failure { return &f }
	nosuch := oslo.NoSuchMethod("m")
	unsupported := oslo.UnsupportedVersion("7.0", "m")
	arguments := oslo.BadArguments("m() got an unexpected keyword argument 'x'")
	list := []struct {
		reply oslo.Reply
		want  map[string]any
	}{
		{oslo.Reply{Ending: true, Result: oslo.Raw(`[1.0, 1208925819614629174706176, "\udc80"]`)}, map[string]any{"result": []any{1.0, json.Number("1208925819614629174706176"), "\xed\xb2\x80"}, "ending": true}},
		{oslo.Reply{Ending: true}, map[string]any{"result": nil, "ending": true}},
		{oslo.KeepAlive("i"), map[string]any{"result": nil, "ending": false}},
		{oslo.Reply{Ending: true, Failure: &nosuch}, map[string]any{"type": "NoSuchMethod_Remote", "text": "Endpoint does not support RPC method m\n"}},
		{oslo.Reply{Ending: true, Failure: &unsupported}, map[string]any{"type": "UnsupportedVersion_Remote", "text": "Endpoint does not support RPC version 7.0. Attempted method: m\n"}},
		{oslo.Reply{Ending: true, Failure: &arguments}, map[string]any{"type": "TypeError", "args": []any{"m() got an unexpected keyword argument 'x'\n"}}},
		{oslo.Reply{Ending: true, Failure: failure(oslo.Failure{Class: "E", Module: "shop", Message: "é", Traceback: []string{"a\n", "b"}})}, map[string]any{"type": "RemoteError", "exc_type": "E", "value": "é"}},
		{oslo.Reply{Ending: true, Failure: failure(oslo.Failure{Class: "E_Remote", Module: "shop_Remote"})}, map[string]any{"type": "RemoteError", "exc_type": "E"}},
		{oslo.Reply{Ending: true, Failure: failure(oslo.Failure{Class: "ValueError", Module: "exceptions", Message: "m"})}, map[string]any{"type": "ValueError", "args": []any{"m\n"}}},
		{oslo.Reply{Ending: true, Failure: failure(oslo.Failure{Class: "OSError", Module: "builtins", Message: "m", Args: oslo.Raw(`[2, "x"]`)})}, map[string]any{"type": "FileNotFoundError"}},
		{oslo.Reply{Ending: true, Failure: failure(oslo.Failure{})}, map[string]any{"type": "RemoteError", "exc_type": "", "value": ""}},
	}
	cases := make([]map[string]any, len(list))
	for i := range list {
		list[i].reply.MsgID, list[i].reply.UniqueID = "i", oslo.NewID()
		cases[i] = arrival("reply", string(oslo.Seal(list[i].reply.Encode())))
	}
	for i, a := range python(t, cases) {
		v, err := oslo.Raw(a.OK).Value()
		if a.Error != "" || err != nil {
			t.Errorf("%s: %+v, %v", list[i].reply.Encode(), a, err)
			continue
		}
		got := v.(map[string]any)
		for key, want := range list[i].want {
			if diff := cmp.Diff(pythonic(t, want), pythonic(t, got[key])); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", list[i].reply.Encode(), key, diff)
			}
		}
	}
}

// TestPythonReadsOddReplies holds what callers here make of replies against what
// Python's make of them, and the few in which they differ.
func TestPythonReadsOddReplies(t *testing.T) {
	list := []struct {
		reply  string
		differ string // why callers here see something else
	}{
		{reply: `"result": 1, "failure": null, "ending": true`},
		{reply: `"failure": null, "ending": true`},
		{reply: `"result": 1, "failure": "", "ending": 1`},
		{reply: `"result": 1, "failure": {}, "ending": "yes"`},
		{reply: `"result": null, "failure": 0, "ending": 0`},
		{reply: `"result": null, "failure": false, "ending": []`},
		{reply: `"failure": "{\"class\": \"E\", \"module\": \"x\"}", "ending": true`},
		{reply: `"failure": "{\"class\": \"E\", \"module\": \"\", \"message\": \"m\", \"tb\": [\"a\"]}", "ending": true`},
		{reply: `"result": 1, "ending": true`, differ: "a KeyError reaches the application"},
		{reply: `"result": 1, "failure": null, "ending": false`, differ: "it waits for an end that need not come"},
		{reply: `"result": 1, "failure": null`, differ: "it waits for an end that need not come"},
		{reply: `"failure": {"class": "E"}, "ending": true`, differ: "a JSONDecodeError reaches the application"},
		{reply: `"failure": "no JSON", "ending": true`, differ: "a JSONDecodeError reaches the application"},
	}
	cases := make([]map[string]any, len(list))
	body := func(i int) string { return `{"_msg_id": "i", ` + list[i].reply + `}` }
	for i := range list {
		cases[i] = arrival("reply", body(i))
	}
	for i, a := range python(t, cases) {
		message, _, err := oslo.Open([]byte(body(i)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := oslo.ParseReply(&message)
		if err != nil {
			t.Fatal(err)
		}
		here := map[string]any{"ending": r.Ending}
		var theirs map[string]any
		if a.Error == "" {
			v, _ := oslo.Raw(a.OK).Value()
			theirs = map[string]any{"ending": v.(map[string]any)["ending"]}
			for _, key := range []string{"result", "exc_type", "value"} {
				if value, ok := v.(map[string]any)[key]; ok && value != nil {
					theirs[key] = value
				}
			}
		}
		switch {
		case r.Failure != nil:
			here["exc_type"] = r.Failure.Class
			if r.Failure.Message != "" {
				here["value"] = r.Failure.Message
			}
		case !r.Result.IsNull():
			here["result"] = mustValue(t, r.Result)
		}
		if same := cmp.Equal(theirs, here); same != (list[i].differ == "") {
			t.Errorf("%s: here %v, Python %v %s, differ: %q", body(i), here, theirs, a.Error, list[i].differ)
		}
	}
}

func TestPythonWritesWhatMarshalWrites(t *testing.T) {
	values := []any{
		nil, true, 1, -1.5, 1e16, 1e-7, 5e-324, 1.7976931348623157e308, 0.1, 100.0, 123456789.123, json.Number("1208925819614629174706176"),
		"é\U0001f600\x7f\x00\"\\/\xff",
		[]any{[]any{}, map[string]any{}},
		map[string]any{"b": 1, "a": nil},
		struct{ A, B any }{1.0, "x"},
		map[int]bool{7: true},
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		values = append(values, random.NormFloat64()*float64(uint64(1)<<random.IntN(63)), random.ExpFloat64()/float64(uint64(1)<<random.IntN(63)))
	}
	cases := make([]map[string]any, len(values))
	for i, v := range values {
		text, err := oslo.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		cases[i] = map[string]any{"do": "again", "text": string(text)}
	}
	for i, a := range python(t, cases) {
		var again string
		if err := json.Unmarshal([]byte(a.OK), &again); err != nil || again != cases[i]["text"] {
			t.Errorf("%s is %s %s to Python", cases[i]["text"], again, a.Error)
		}
	}
}

func TestPythonAgreesOnVersions(t *testing.T) {
	good := []string{"1.0", "1.2", "2.0", "1.10", "1.2.3", "1.2.0", "01.2", "10.0"}
	// What is no version agrees with nothing here; Python fails, or looks at as
	// much of it as it needs.
	bad := []string{"1", "", "a.b", "1.-1", "1.2.3.4", "1. 2", "1.2.x"}
	var cases []map[string]any
	for _, have := range good {
		for _, want := range good {
			cases = append(cases, map[string]any{"do": "compatible", "have": have, "want": want})
		}
		for _, want := range bad {
			if oslo.Compatible(have, want) || oslo.Compatible(want, have) {
				t.Errorf("%q and %q are compatible", have, want)
			}
		}
	}
	for i, a := range python(t, cases) {
		have, want := cases[i]["have"].(string), cases[i]["want"].(string)
		if got := strconv.FormatBool(oslo.Compatible(have, want)); got != a.OK {
			t.Errorf("%q for %q: %s, Python %s%s", have, want, got, a.OK, a.Error)
		}
	}
}

func TestPythonTakesWhatThisPackageCompressesAndTheOtherWayRound(t *testing.T) {
	body := captures(t)[0].Body
	packed := arrival("receive", string(oslo.Compress([]byte(body))))
	packed["headers"] = map[string]string{oslo.HeaderCompression: oslo.CompressionGzip}
	raw := hex.EncodeToString([]byte(body))
	answers := python(t, []map[string]any{
		packed, arrival("receive", body),
		{"do": "compress", "method": "gzip", "body": raw},
		{"do": "compress", "method": "bzip2", "body": raw},
	})
	if answers[0] != answers[1] || answers[0].OK == "" {
		t.Errorf("compressed %+v\nplain %+v", answers[0], answers[1])
	}
	for i, want := range []string{oslo.CompressionGzip, oslo.CompressionBzip2} {
		var theirs struct{ Body, Header string }
		if err := json.Unmarshal([]byte(answers[2+i].OK), &theirs); err != nil || theirs.Header != want {
			t.Fatalf("%+v, %v", answers[2+i], err)
		}
		data, err := hex.DecodeString(theirs.Body)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := oslo.Decompress(theirs.Header, data, 1<<20); err != nil || string(out) != body {
			t.Errorf("%s: %v, %s", want, err, out)
		}
	}
}

func TestPythonIsStricterAboutContentTypes(t *testing.T) {
	types := []string{oslo.ContentType, "", "text/plain", "application/json; charset=utf-8", "application/x-python-serialize"}
	cases := make([]map[string]any, len(types))
	for i, ct := range types {
		cases[i] = arrival("receive", `{"method": "m"}`)
		cases[i]["content_type"] = ct
		if ct == "" {
			delete(cases[i], "content_type")
		}
	}
	for i, a := range python(t, cases) {
		if a.Error == "" && oslo.CheckContentType(types[i]) != nil {
			t.Errorf("%q: Python takes it", types[i])
		}
		if (a.Error == "") != (types[i] == oslo.ContentType) {
			t.Errorf("%q: Python says %+v", types[i], a)
		}
	}
}

func TestAClassThatComesBackHasTheSameNameForPython(t *testing.T) {
	f := oslo.Failure{Class: "NoSuchMethod", Module: oslo.DispatcherModule, Message: "m"}
	a := python(t, []map[string]any{{"do": "remote", "failure": string(f.Encode())}})[0]
	theirs := oslo.ParseFailure(oslo.Raw(a.OK))
	f.Class, f.Module = f.Class+"_Remote", f.Module+"_Remote"
	ours := oslo.ParseFailure(f.Encode())
	if a.Error != "" || ours.Class != theirs.Class || ours.Module != theirs.Module || ours.Class != "NoSuchMethod" {
		t.Errorf("here %s %s, Python %s %s%s", ours.Module, ours.Class, theirs.Module, theirs.Class, a.Error)
	}
}
