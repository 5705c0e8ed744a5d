package broker

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

var everyValue = table{
	{"bool", true},
	{"int8", int8(-1)},
	{"uint8", uint8(200)},
	{"int16", int16(-2)},
	{"uint16", uint16(2)},
	{"int32", int32(-3)},
	{"uint32", uint32(3)},
	{"int64", int64(-4)},
	{"float32", float32(0.5)},
	{"float64", 0.25},
	{"decimal", decimal{2, 314}},
	{"string", "s"},
	{"bytes", []byte{0, 255}},
	{"time", time.Unix(1700000000, 0).UTC()},
	{"table", table{{"deep", nil}}},
	{"array", []any{int32(1), "two", []any{}}},
}

func TestTablesComeBack(t *testing.T) {
	var e encoder
	e.table(everyValue)
	d := decoder{b: e.b}
	if got := d.table(0); d.err != nil || !reflect.DeepEqual(got, everyValue) {
		t.Errorf("%v, %v", got, d.err)
	}
}

func TestTablesThatNestTooDeeply(t *testing.T) {
	deep := table{}
	for range maxDepth {
		deep = table{{"t", deep}}
	}
	var list any = []any{}
	for range maxDepth {
		list = []any{list}
	}
	for _, bomb := range []table{deep, {{"a", list}}} {
		var e encoder
		e.table(bomb)
		d := decoder{b: e.b}
		if d.table(0); d.err != errNesting { //nolint:errorlint // the very one
			t.Errorf("%v", d.err)
		}
	}
}

// FuzzTable decodes anything. What is accepted comes back from its encoding.
func FuzzTable(f *testing.F) {
	var e encoder
	e.table(everyValue)
	f.Add(e.b)
	f.Add([]byte{0, 0, 0, 3, 1, 'a', 'V'})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := decoder{b: data}
		got := d.table(0)
		raw := decoder{b: data}
		if fields := raw.long(); (raw.err == nil && wellFormed(fields, true, 0)) != (d.err == nil) {
			t.Fatalf("%x: %v", data, d.err)
		}
		if d.err != nil {
			return
		}
		var e encoder
		e.table(got)
		again := decoder{b: e.b}
		var twice encoder
		twice.table(again.table(0))
		if again.err != nil || !bytes.Equal(e.b, twice.b) {
			t.Errorf("%x, %x, %v", e.b, twice.b, again.err)
		}
	})
}

// FuzzProperties reads anything as properties, and changes what is accepted.
func FuzzProperties(f *testing.F) {
	var e encoder
	e.u16(propContentType | propHeaders | propReplyTo | propExpiration | propAppID)
	e.short("text/plain")
	e.table(table{{"a", int32(1)}})
	e.short("amq.rabbitmq.reply-to")
	e.short("100")
	e.short("app")
	f.Add(e.b)
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseProperties(data)
		if err != nil {
			return
		}
		for _, keep := range []bool{true, false} {
			q := p.with(table{{"x", "y"}}, keep)
			if h, err := q.table(); err != nil || len(h) != 1 || h.get("x") != "y" {
				t.Errorf("%x with other headers: %v, %v", data, h, err)
			}
			if has := q.flags&propExpiration != 0; has != (keep && p.flags&propExpiration != 0) {
				t.Errorf("%x: expiration %v", data, has)
			}
			if q.flags&^(propHeaders|propExpiration) != p.flags&^(propHeaders|propExpiration) || q.userID != p.userID || q.replyTo != p.replyTo || q.priority != p.priority {
				t.Errorf("%x became %x", data, q.raw)
			}
		}
		if p.flags&propReplyTo != 0 {
			if q := p.withReplyTo("elsewhere"); q.replyTo != "elsewhere" || q.expiration != p.expiration || q.userID != p.userID {
				t.Errorf("%x became %x", data, q.raw)
			}
		}
	})
}

// matchSlowly says what a pattern means.
func matchSlowly(pattern, words []string) bool {
	switch {
	case len(pattern) == 0:
		return len(words) == 0
	case pattern[0] == "#":
		return matchSlowly(pattern[1:], words) || len(words) > 0 && matchSlowly(pattern, words[1:])
	case len(words) == 0:
		return false
	}
	return (pattern[0] == "*" || pattern[0] == words[0]) && matchSlowly(pattern[1:], words[1:])
}

func FuzzPatterns(f *testing.F) {
	f.Add("a.#.b", "a.x.b.b")
	f.Add("#.#.*", "")
	f.Fuzz(func(t *testing.T, pattern, key string) {
		p, k := words(pattern), words(key)
		if len(p) > 8 || len(k) > 8 {
			return
		}
		if got, want := matchWords(p, k), matchSlowly(p, k); got != want {
			t.Errorf("%q, %q: %v", pattern, key, got)
		}
	})
}

func TestAPatternThatIsAllWildcards(t *testing.T) {
	pattern := strings.Split(strings.Repeat("#.a.", 60)+"#", ".")
	if matchWords(pattern, strings.Split(strings.Repeat("a.", 100)+"b", ".")) != true {
		t.Error("it matches")
	}
	if matchWords(append(pattern, "c"), strings.Split(strings.Repeat("a.", 100)+"b", ".")) {
		t.Error("it does not match")
	}
}
