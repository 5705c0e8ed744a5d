package filter

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unsafe"
)

// frame builds what the host would hand over.
func frame(headers map[string]any, props map[Slot]string, body string) []byte {
	le := binary.LittleEndian
	b := make([]byte, headLen)
	copy(b, "RTR1")
	le.PutUint16(b[4:], headLen)
	blob := func(s string) (at, n uint32) {
		b = append(b, s...)
		return uint32(len(b) - len(s)), uint32(len(s))
	}
	propAt := len(b)
	le.PutUint32(b[48:], uint32(propAt))
	le.PutUint32(b[52:], uint32(len(slotNames)))
	b = append(b, make([]byte, 8*len(slotNames))...)
	at := len(b)
	le.PutUint32(b[16:], uint32(at))
	le.PutUint32(b[20:], uint32(len(headers)))
	b = append(b, make([]byte, 20*len(headers))...)
	for s, v := range props {
		p, n := blob(v)
		le.PutUint32(b[propAt+8*int(s):], p)
		le.PutUint32(b[propAt+8*int(s)+4:], n)
	}
	for k, v := range headers {
		p, n := blob(k)
		le.PutUint32(b[at:], p)
		le.PutUint16(b[at+4:], uint16(n))
		le.PutUint32(b[at+16:], Hash(k))
		var raw string
		switch v := v.(type) {
		case string:
			b[at+6], raw = byte(UTF8), v
		case int64:
			b[at+6], raw = byte(Int64), string(le.AppendUint64(nil, uint64(v)))
		case bool:
			b[at+6], raw = byte(Bool), "\x00"
			if v {
				raw = "\x01"
			}
		}
		p, n = blob(raw)
		le.PutUint32(b[at+8:], p)
		le.PutUint32(b[at+12:], n)
		at += 20
	}
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	p, n := blob(body)
	le.PutUint32(b[24:], p)
	le.PutUint32(b[28:], n)
	le.PutUint32(b[8:], uint32(len(b)))
	return b
}

func newMessage(t *testing.T, headers map[string]any, props map[Slot]string, body string) *Message {
	t.Helper()
	m, ok := NewMessage(frame(headers, props, body))
	if !ok {
		t.Fatal("not a frame")
	}
	return &m
}

func TestHeadersThatAreNoUTF8AreBytes(t *testing.T) {
	for text, want := range map[string]HeaderType{"": UTF8, "grün": UTF8, "caf\xe9": Bytes} {
		var d Delta
		d.SetHeader("k", text)
		if got := HeaderType(d.buf[1] >> 4); got != want {
			t.Errorf("%q has type %d; want %d", text, got, want)
		}
	}
}

func TestReadingAMessage(t *testing.T) {
	m := newMessage(t, map[string]any{"tenant": "acme", "n": int64(-42), "b": true, "": "empty name"},
		map[Slot]string{RoutingKey: "key", MessageID: "id"}, `{"a":[1,{"b":"c"}]}`)
	if got, _ := m.HeaderText("tenant"); got != "acme" {
		t.Errorf("tenant = %q", got)
	}
	if _, ok := m.HeaderText("n"); ok {
		t.Error("an integer is no text")
	}
	for name, want := range map[string]string{"tenant": "acme", "n": "-42", "b": "true", "": "empty name"} {
		v, ok := m.Header(name)
		if got, _ := v.Text(make([]byte, 20)); !ok || got != want {
			t.Errorf("%s = %q, %v", name, got, ok)
		}
	}
	if _, ok := m.Header("absent"); ok {
		t.Error("found a header that is not there")
	}
	if m.Prop(RoutingKey) != "key" || m.Prop(MessageID) != "id" || m.Prop(Type) != "" || m.Prop(Slot(99)) != "" {
		t.Error("properties")
	}
	if v, ok := m.JSON("a.1.b"); !ok || !v.Is("c") {
		t.Errorf("a.1.b = %q, %v", v.Raw, ok)
	}
	if _, ok := NewMessage([]byte("RTR1")); ok {
		t.Error("four bytes are no frame")
	}
}

func TestConfiguration(t *testing.T) {
	m := newMessage(t, map[string]any{"a": "x", "list.0": "p", "list.1": "q", "on": true}, nil, "{}")
	if m.ConfigRequire("a") != nil {
		t.Errorf("a is there, and required: %v", m.ConfigRequire("a"))
	}
	for _, name := range []string{"z", "on"} {
		if err := m.ConfigRequire("a", name); err == nil || err.Error() != name+" is missing" {
			t.Errorf("required %s: %v", name, err)
		}
	}
	if m.ConfigText("a", "d") != "x" || m.ConfigText("z", "d") != "d" || !m.ConfigBool("on", false) || m.ConfigBool("off", false) {
		t.Error("texts and booleans")
	}
	if got := strings.Join(m.ConfigList("list"), " ") + strings.Join(m.ConfigList("a"), " "); got != "p qx" {
		t.Errorf("lists: %q", got)
	}
}

// ops reads a delta back: one text for each op.
func ops(t *testing.T, d *Delta) []string {
	t.Helper()
	var list []string
	for b := d.buf; len(b) > 0; {
		k, v := int(u16(b[2:])), int(u32(b[4:]))
		list = append(list, string(rune('a'+b[0]))+" "+string(b[8:8+k])+"="+string(b[8+k:8+k+v]))
		n := (8 + k + v + 7) &^ 7
		for _, pad := range b[8+k+v : n] {
			if pad != 0 {
				t.Error("padding is not zero")
			}
		}
		b = b[n:]
	}
	return list
}

func TestTargets(t *testing.T) {
	for text, want := range map[string]string{
		"queue:a/b":             "f queue=a/b",
		"exchange:ex/k/l":       "f exchange=ex\x00k/l",
		"exchange:/k":           "f exchange=\x00k",
		"topic:t":               "f topic=t",
		"topic:ex/t":            "f topic=t\x00ex",
		"server:t.host.domain":  "f server=t\x00host.domain",
		"server:ex/t.h":         "f server=t\x00h\x00ex",
		"fanout:t":              "f fanout=t",
		"notify:n.audit.info":   "f notify=n.audit\x00info",
		"notify:ex/n.info":      "f notify=n\x00info\x00ex",
		"queue:":                "",
		"queue":                 "",
		"exchange:none":         "",
		"server:t":              "",
		"server:.h":             "",
		"notify:t.":             "",
		"mail:somebody@a.place": "",
	} {
		var d Delta
		ok := d.Target(text)
		got := strings.Join(ops(t, &d), ";")
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", text, got, ok, want)
		}
	}
}

func TestDelta(t *testing.T) {
	var d Delta
	if d.result() != 0 {
		t.Error("an empty delta is not 0")
	}
	d.SetHeader("k", "v")
	d.DelHeader("gone")
	d.SetProp(ContentType, "text/plain")
	d.Reject("because ", "of it")
	d.Error("code", "text")
	want := "b k=v;c gone=;e \x02\x00=text/plain;g reject=because of it;k code=text"
	if got := strings.Join(ops(t, &d), ";"); got != want {
		t.Errorf("%q; want %q", got, want)
	}
	body := []byte("body")
	d.Reset()
	d.SetBodyRef(body)
	ref := d.buf[8:]
	if u32(ref) != uint32(uintptr(unsafe.Pointer(&body[0]))) || u32(ref[4:]) != 4 {
		t.Error("the reference names other bytes")
	}
	d.Reset()
	d.SetHeader("k", strings.Repeat("x", MaxDelta))
	d.SetHeader("l", "small")
	d.result()
	if got := strings.Join(ops(t, &d), ";"); !strings.HasPrefix(got, "k too-big=") {
		t.Errorf("a delta that is too big became %.40q", got)
	}
}

func TestHandle(t *testing.T) {
	defer func() { OnInit = nil }()
	OnInit = func(*Message) error { return errors.New("no\xff") }
	handleFrame(frame(nil, nil, "{}"), configure)
	if got := strings.Join(ops(t, &delta), ";"); got != "k config=no?" {
		t.Errorf("a refused configuration: %q", got)
	}
	if got := handleFrame(make([]byte, 100), nil); got != malformed {
		t.Errorf("no frame: %d", got)
	}
	f := frame(map[string]any{"tenant": "acme"}, nil, `{"pad":"`+strings.Repeat("x", 500)+`","a":{"b":"c\n"}}`)
	var buf [64]byte
	n := testing.AllocsPerRun(100, func() {
		handleFrame(f, func(m *Message, d *Delta) {
			v, _ := m.JSON("a.b")
			s, _ := v.Text(buf[:])
			tenant, _ := m.HeaderText("tenant")
			d.SetHeader("b", s)
			d.SetHeaderInt("n", 1)
			d.Target("queue:x")
			d.Reject(tenant)
		})
	})
	if n != 0 {
		t.Errorf("a call allocates %v times", n)
	}
}

func TestBufferGrowsOnlyWhenItMust(t *testing.T) {
	a := buffer(100)
	if len(a) < 100 || &buffer(50)[0] != &a[0] {
		t.Error("a buffer that is big enough is kept")
	}
	if b := buffer(uint32(len(a)) + 1); len(b) <= len(a) {
		t.Error("it does not grow")
	}
}

func FuzzFindJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":{"b":1}}`, `{"a":[{"b":"x"},2]}`, `{"a.b":true}`, `{"\u0061":{"b":"\ud83d\ude00\n"}}`, ` [ 1 , [ 2 ] ] `,
		`{"x":"\"}","a":null}`, `{"a":1`, `{"a"}`, `[1 2]`, `"a`, ``, `{"a":{"b":tru}}`, `{"a":1,"a":2}`,
	} {
		for _, path := range []string{"", "a", "a.b", `a\.b`, "a.0.b", "1.0", "x.y"} {
			f.Add([]byte(s), path)
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte, path string) {
		v, found, badAt := FindJSON(doc, path)
		if badAt > len(doc) || found && badAt >= 0 {
			t.Fatalf("%q %q: %v at %d", doc, path, found, badAt)
		}
		var want any
		if json.Unmarshal(doc, &want) != nil {
			return
		}
		if badAt >= 0 {
			t.Fatalf("%q is JSON, but malformed at %d", doc, badAt)
		}
		if !found || v.Kind != '"' {
			return
		}
		var s string
		if err := json.Unmarshal([]byte(`"`+string(v.Raw)+`"`), &s); err != nil {
			t.Fatalf("%q %q: found %q, which is no string", doc, path, v.Raw)
		}
		got, ok := v.Text(nil)
		if !ok || strings.ToValidUTF8(got, "\ufffd") != strings.ToValidUTF8(s, "\ufffd") && !strings.ContainsRune(s, 0xfffd) {
			t.Fatalf("%q stands for %q, not %q", v.Raw, s, got)
		}
		if !v.Is(got) {
			t.Fatalf("%q is not %q", v.Raw, got)
		}
	})
}

func TestFindJSON(t *testing.T) {
	const doc = `{"a":{"b":[10,{"c":"x\ty"}]},"a.b":true,"n":null,"s":"plain","e":{},"a":"second"}`
	for path, want := range map[string]string{
		"a.b.0": "10", "a.b.1.c": "x\ty", `a\.b`: "true", "s": "plain", // found
		"a.b.2": "", "a.b.x": "", "n": "", "e.x": "", "s.x": "", "zz": "", // absent or no scalar
	} {
		v, found, badAt := FindJSON([]byte(doc), path)
		got := ""
		if found {
			got, _ = v.Text(nil)
		}
		if got != want || badAt >= 0 {
			t.Errorf("%s = %q (at %d); want %q", path, got, badAt, want)
		}
	}
	for doc, want := range map[string]int{`{"x" 1,"a":1}`: 5, `{"x":1`: 6, ``: 0, `{"a":`: 5, `{"x":[1}`: 8} {
		if _, _, badAt := FindJSON([]byte(doc), "a"); badAt != want {
			t.Errorf("%s: malformed at %d; want %d", doc, badAt, want)
		}
	}
}
