package oslo_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
)

func readBody(t testing.TB, text string) oslo.Body {
	t.Helper()
	b, err := oslo.ReadBody([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return b
}

// TestOnlyWhatWasChangedChanges has bodies as Python would not write them, in
// which everything but the change must stay.
func TestOnlyWhatWasChangedChanges(t *testing.T) {
	set := func(key, value string) func(*oslo.Object) {
		return func(o *oslo.Object) { o.Set(key, oslo.Raw(value)) }
	}
	del := func(keys ...string) func(*oslo.Object) {
		return func(o *oslo.Object) {
			for _, key := range keys {
				o.Delete(key)
			}
		}
	}
	for _, c := range []struct {
		name, body, want string
		change           func(*oslo.Object)
	}{
		{"nothing", " {\"a\" :1}\n", " {\"a\" :1}\n", del("b")},
		{"flat", " {\"a\" :1,\n\"b\":  2 }\n", " {\"a\" :\"x\",\n\"b\":  2 }\n", set("a", `"x"`)},
		{"flat, added", "{\"a\":1 }", "{\"a\":1, \"b\": 2 }", set("b", "2")},
		{"flat, added to none", "{ }", "{\"b\": 2 }", set("b", "2")},
		{"flat, first gone", `{"a":1,  "b":2,"c":3}`, `{"b":2,"c":3}`, del("a")},
		{"flat, middle gone", `{"a":1,  "b":2,"c":3}`, `{"a":1,  "c":3}`, del("b")},
		{"flat, last gone", `{"a":1,  "b":2,"c":3 }`, `{"a":1,  "b":2 }`, del("c")},
		{"flat, all gone", `{ "a":1,  "b":2 }`, `{  }`, del("b", "a")},
		{"flat, all gone but one added", `{ "a":1,  "b":2 }`, `{ "c": 3 }`, func(o *oslo.Object) { del("a", "b")(o); set("c", "3")(o) }},
		{"flat, one of each", `{"a":1,"b":2,"c":3,"d":4}`, `{"b":[],"d":4, "e": 5}`, func(o *oslo.Object) { del("c", "a")(o); set("e", "5")(o); set("b", "[]")(o) }},
		{"the last of two counts", `{"a":1,"a":2}`, `{"a":1,"a":3}`, set("a", "3")},
		{"no value is null", `{"a":1}`, `{"a":null}`, set("a", "")},
		{
			"in an envelope, everything else as it was",
			`{ "x":[NaN, 1e400], "oslo.message" : "\u007b\"a\":\"é\u00e9\ud83d\ude00😀\udc80\/\\n\", \u0022b\":1.0,\t\"c\":2}" ,"oslo.version":"2.0", "y": 0}`,
			`{ "x":[NaN, 1e400], "oslo.message" : "\u007b\"a\":\"é\u00e9\ud83d\ude00😀\udc80\/\\n\", \u0022b\":\"\\u00e9\\n\",\t\"c\":2, \"d\": \"\\\"\"}" ,"oslo.version":"2.0", "y": 0}`,
			func(o *oslo.Object) { o.Set("b", oslo.String("é\n")); o.Set("d", oslo.String(`"`)) },
		},
		{"an envelope's text with space around", `{"oslo.version":"2.0","oslo.message":" \n{\"a\":1} "}`, `{"oslo.version":"2.0","oslo.message":" \n{\"a\":2} "}`, set("a", "2")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := readBody(t, c.body)
			c.change(b.Message())
			if diff := cmp.Diff(c.want, string(b.Bytes())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestACapturedContextIsSplicedIn(t *testing.T) {
	for _, c := range captures(t) {
		b := readBody(t, string(c.plain(t)))
		was := string(b.Bytes())
		if was != string(c.plain(t)) {
			t.Errorf("%s: untouched, but not as it came", c.Name)
		}
		b.Message().Set(oslo.ContextPrefix+"user_id", oslo.String("ü"))
		inner := string(b.Message().Raw())
		if b.Enveloped {
			if want := string(oslo.Seal(oslo.Raw(inner))); string(b.Bytes()) != want {
				t.Errorf("%s:\n got %s\nwant %s", c.Name, b.Bytes(), want)
			}
		} else if string(b.Bytes()) != inner {
			t.Errorf("%s:\n got %s\nwant %s", c.Name, b.Bytes(), inner)
		}
	}
}

// FuzzSplice changes a member and changes it back.
func FuzzSplice(f *testing.F) {
	for i, c := range captures(f) {
		f.Add(c.plain(f), uint8(i), "_context_new", "é\xed\xa0\x80")
	}
	f.Add([]byte(`{ "a":1 ,"\u0061" :NaN, "b":"é😀\ud83d" }`), uint8(1), "c", "")
	f.Add([]byte(`{"oslo.version":"2.0","oslo.message":" {\"a\":\"\ud83d\\ude00\",\u0022b\":\"é😀\u0001\"}"}`), uint8(0), "c", "")
	f.Fuzz(func(t *testing.T, text []byte, n uint8, added, value string) {
		b, err := oslo.ReadBody(text)
		if err != nil {
			return
		}
		if !bytes.Equal(b.Bytes(), text) {
			t.Fatalf("untouched, but not as it came: %s", b.Bytes())
		}
		want := map[string]string{}
		var keys []string
		for key, v := range b.Message().All() {
			want[key] = string(v)
			keys = append(keys, key)
		}
		check := func(b *oslo.Body) oslo.Body {
			again, err := oslo.ReadBody(b.Bytes())
			if err != nil {
				t.Fatalf("%v: %s became %s", err, text, b.Bytes())
			}
			got := map[string]string{}
			for key, v := range again.Message().All() {
				got[key] = string(v)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("(-want +got):\n%s\n%s became %s", diff, text, b.Bytes())
			}
			return again
		}
		// Names that would make it another kind of body.
		if slices.Contains([]string{"oslo.version", "oslo.message"}, added) {
			return
		}
		if len(keys) > 0 {
			key := keys[int(n)%len(keys)]
			was := want[key]
			if !b.Enveloped && (key == "oslo.version" || key == "oslo.message") {
				return
			}
			want[key] = string(oslo.String(value))
			b.Message().Set(key, oslo.String(value))
			b = check(&b)
			want[key] = was
			b.Message().Set(key, oslo.Raw(was))
			b = check(&b)
			// Set back, the body is what it was, but for what was escaped
			// in that value in another way than Python's.
			if !b.Enveloped && !bytes.Equal(b.Bytes(), text) {
				t.Fatalf("set back: %s became %s", text, b.Bytes())
			}
		}
		name, _ := oslo.String(added).Text() // its bytes that are no text are surrogates now
		if _, is := want[name]; !is {
			want[name] = "null"
			before := slices.Clone(b.Bytes())
			b.Message().Set(name, oslo.Null)
			b = check(&b)
			delete(want, name)
			b.Message().Delete(name)
			b = check(&b)
			if len(keys) > 0 && !bytes.Equal(b.Bytes(), before) {
				t.Fatalf("added and deleted: %s became %s", before, b.Bytes())
			}
		}
	})
}
