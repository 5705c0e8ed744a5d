package filters_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/filters/sdk/go/filter"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// The readers of JSON fields in C, Rust, AssemblyScript and WAT are held against the one in Go,
// which its own tests hold against encoding/json.

var jsonDocs = []string{
	`{"a":1,"b":"x","c":{"d":[1,2,{"e":true}]},"n":null,"t":true,"f":false}`,
	` { "a" : { "b" : [ ] , "c" : { } } , "d" : -1.5e+3 } `,
	`{"a\u002eb":"dot","a.c":"plain","a\\b":"backslash","\ud83d\ude00":"smile","":"empty","é":"caf\u00e9"}`,
	`{"a":"first","a":"second"}`,
	`[["x"],[],[[1]],"s",0]`,
	`{"s":"q\"q\\q\/\b\f\n\r\t\u0000\ud83d\ude00\ud83d\ude0\udc00x"}`,
	`{"s":"\ud83d\ud83d\ude00 lone \ude00"}`, `{"s":"\ude00\ude00\ude00\ud83d"}`,
	`{"skip":{"x":"}]{[\"\\"},"deep":[[[[["]"]]]]],"a":"12345678901234567890\"tail"}`,
	`{"bad":"\x","worse":"\u12","a":1}`,
	`"scalar"`, `17`, `true`, `null`, `nul`, `tru`, `falsey`, `-`, `{`, `[`, `"`, `"\`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`,
	`{"a":}`, `{"a" 1}`, `{"a":1 "b":2}`, `{a:1}`, `{,"a":1}`, `{"a":1,,"b":2}`, `[1 2]`, `[,1]`, `[1,`, `[1,2,]`, `{"b":[1,2,}`, `{"b":"x`,
	`{"":{"":"no name"}}`, `[[[0,1],[2]],"a"]`, `{"a":1,}`, `{,}`, `]`, `}`, `{"b":[1,{"c":2]}`, `{"a":"` + strings.Repeat("0123456789", 9) + `\\","b":"` + strings.Repeat("ü", 40) + `"}`,
	`{"b":{"c":"x}`, `{"b":truex,"a":1}`, `{"b":@,"a":1}`, ``, ` `, "\x00", "{\"a\":\"\xff\xfe\",\"b\":1}", `{"b":]}`, `{"b":[}],"a":3}`,
}

var jsonPaths = []string{
	"", "a", "b", "c", "d", "s", "n", "t", "f", "a.b", "a\\.b", "a\\.c", "a.c", "a\\\\b", "a\\b", "a\\", ".", "..", "é", "😀", "0", "1", "2.0.0",
	"00", "-1", "+1", "4294967296", "1000000000", "0000000000", "999999999", "c.d.2.e", "c.d.0", "c.d.x", "bad", "worse", "b.c", "deep.0.0.0.0.0",
	"\xff", "a..b", "c\\.d",
}

type reader struct {
	language string
	filter   *wasmhost.Filter
	instance router.Filter
}

func readers(t testing.TB) []reader {
	t.Helper()
	var all []reader
	for _, r := range []struct{ language, command string }{
		{"c", buildC + "sdk/c/testdata/json.c"},
		{"rust", buildRust + "sdk/rust/testdata/json.rs"},
		{"assemblyscript", buildAS + "json.ts"},
		{"wat", buildWAT + "sdk/wat/testdata/json.wat"},
	} {
		f, in := load(t, wasmhost.FilterConfig{Name: "json", Module: built(t, r.command)})
		all = append(all, reader{r.language, f, in})
	}
	t.Cleanup(func() {
		for _, r := range all {
			r.instance.Close()
		}
	})
	return all
}

// wantJSON is what a guest is to say.
func wantJSON(doc []byte, path, is string) map[string]any {
	v, found, bad := filter.FindJSON(doc, path)
	if !found {
		if bad < 0 {
			return map[string]any{}
		}
		return map[string]any{"bad": int64(bad)}
	}
	want := map[string]any{"kind": string(v.Kind), "raw": append([]byte{}, v.Raw...)}
	if text, ok := v.Text(nil); ok {
		want["text"], want["equal"], want["self"] = any(text), v.Is(is), v.Is(text)
		if !utf8.ValidString(text) {
			want["text"] = []byte(text)
		}
	}
	return want
}

func compareReaders(t *testing.T, all []reader, doc []byte, path, is string) {
	t.Helper()
	want := wantJSON(doc, path, is)
	for _, r := range all {
		env, d := router.NewEnvelope(map[string]any{"path": path, "is": is}, doc), router.Decision{}
		if err := r.instance.Run(t.Context(), router.Decide, &env, &d); err != nil {
			t.Fatalf("%s: %q in %q: %v", r.language, path, doc, err)
		}
		got := map[string]any{}
		for name, v := range env.Headers() {
			if name != "path" && name != "is" {
				got[name] = v
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %q in %q (-go +%s):\n%s", r.language, path, doc, r.language, diff)
		}
	}
}

func TestJSONReadersAgree(t *testing.T) {
	all := readers(t)
	for _, doc := range jsonDocs {
		for _, path := range jsonPaths {
			compareReaders(t, all, []byte(doc), path, "first")
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		doc := []byte(jsonDocs[random.IntN(len(jsonDocs))])
		for range random.IntN(4) {
			if len(doc) == 0 {
				break
			}
			i := random.IntN(len(doc))
			switch random.IntN(3) {
			case 0:
				doc = append(doc[:i], doc[i+1:]...)
			case 1:
				doc[i] = "{}[]\",:\\u 01tfn-."[random.IntN(17)]
			case 2:
				doc = doc[:i]
			}
		}
		compareReaders(t, all, doc, jsonPaths[random.IntN(len(jsonPaths))], "x")
	}
}

// What is UTF-8, and becomes a string as a header, and what is not, and becomes
// bytes, is the same everywhere.
func TestSDKsAgreeOnUTF8(t *testing.T) {
	all := readers(t)
	for first := 0x7f; first <= 0xff; first++ {
		for _, more := range []string{
			"", "\x7f", "\x80", "\x8f", "\x90", "\x9f", "\xa0", "\xbf", "\xc0", "\x80\x80", "\x8f\x7f", "\xa0\xc0", "\xbf\xbf",
			"\x9f\x80\x80", "\x90\x80", "\x90\x80\x80", "\x8f\xbf\xbf", "\x80\xbf\xbfx", "\xbf\xbf\x7f", "\xbf\xbf\xbf\xbf",
		} {
			doc := []byte(`{"a":"` + string([]byte{byte(first)}) + more + `"}`)
			compareReaders(t, all, doc, "a", "x")
		}
	}
}

// The readers stay within the document when it ends with the memory: a first
// message makes room for exactly itself.
func TestJSONReadersStopAtTheEnd(t *testing.T) {
	all := readers(t)
	blank := bytes.Repeat([]byte(" "), 64<<10)
	for _, end := range []string{"t", `"`, `"\`, `"\u12`, `{"\ud83d\u`, `["`} {
		for n := 64<<10 - 320; n < 64<<10-192; n++ {
			for i := range all {
				in, err := all[i].filter.Instance(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				all[i].instance.Close()
				all[i].instance = in
			}
			compareReaders(t, all, append(blank[:n:n], end...), "", "x")
		}
	}
}

func FuzzJSONReaders(f *testing.F) {
	all := readers(f)
	for i, doc := range jsonDocs {
		f.Add([]byte(doc), jsonPaths[i%len(jsonPaths)], "x")
	}
	f.Fuzz(func(t *testing.T, doc []byte, path, is string) {
		if len(doc) > 1000 || len(path) > 1000 || len(is) > 1000 {
			return // the guests' buffers are small
		}
		compareReaders(t, all, doc, path, is)
	})
}
