package router

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzParseOrderKey: messages with the same key are in the same order, whatever
// else differs, and messages without it are among themselves.
func FuzzParseOrderKey(f *testing.F) {
	for _, s := range []string{"header:tenant", "routing_key", "property:type", "property:user_id", "header:", "property:", "property:body", "routing_key:x", ""} {
		f.Add(s, "a", "b")
	}
	f.Fuzz(func(t *testing.T, s, one, other string) {
		key, err := ParseOrderKey(s)
		if err != nil {
			if key != nil || !strings.Contains(err.Error(), "order_by") || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("%q: %q", s, err)
			}
			return
		}
		_, name, _ := strings.Cut(s, ":")
		with := func(value, else_ string) *Envelope {
			e := NewEnvelope(map[string]any{name: value, "x" + name: else_}, []byte(else_))
			e.Origin.RoutingKey = value
			e.Properties = Properties{CorrelationID: value, MessageID: value, ReplyTo: value, Type: value, AppID: value, UserID: value, ContentType: else_}
			return &e
		}
		if key(with(one, one)) != key(with(one, other)) {
			t.Errorf("%s: two of one key, %q, are in no order", s, one)
		}
		if one != other && key(with(one, "")) == key(with(other, "")) {
			t.Errorf("%s: %q and %q are one key", s, one, other)
		}
		var none, same Envelope
		if same.Body = []byte(one); key(&none) != key(&same) {
			t.Errorf("%s: two without a key are in no order", s)
		}
	})
}

// FuzzDeadLetter writes a dead letter of a message with anybody's headers. It
// keeps the message, has the router's headers and no forged one, says its reason
// in few printable bytes, and lacks what would destroy or copy it.
func FuzzDeadLetter(f *testing.F) {
	f.Add("x-router-reason", "unroutable", "100", "user", "the cause\x1b[2J", uint8(0))
	f.Add("X-ROUTER-error", "\xff", "", "", strings.Repeat("ü", 200), uint8(1))
	f.Add("CC", "a", "0", "u", "\"quoted\"\n", uint8(2))
	f.Fuzz(func(t *testing.T, name, value, expiration, user, cause string, size uint8) {
		e := NewEnvelope(map[string]any{name: value, "CC": []any{value}, "kept": value}, []byte(value))
		e.Expiration, e.UserID = expiration, user
		e.Origin = Origin{Queue: "in", Exchange: name, RoutingKey: value}
		forged := len(name) >= len(HeaderPrefix) && strings.EqualFold(name[:len(HeaderPrefix)], HeaderPrefix)
		stripRouterHeaders(&e)
		if _, has := e.Header(name); has == forged {
			t.Fatalf("header %q is there: %t", name, has)
		}
		r := &Route{cfg: RouteConfig{Name: "route"}}
		w := &letter{fail: &failure{reason: ReasonUnroutable, err: errors.New(cause)}, attempts: 2, size: letterSize(size % 3)}
		out := r.writeLetter(&e, w)
		if string(out.Body) != value || out.Expiration != "" || e.Expiration != expiration {
			t.Errorf("%+v became %+v", e, out)
		}
		for _, gone := range []string{"CC", "BCC"} {
			if _, has := out.Header(gone); has {
				t.Errorf("it has the header %s", gone)
			}
		}
		for name, want := range map[string]any{HeaderReason: ReasonUnroutable, HeaderRoute: "route"} {
			if v, _ := out.Header(name); v != want {
				t.Errorf("%s is %v", name, v)
			}
		}
		if expiration != "" {
			if v, _ := out.Header(HeaderExpiration); v != expiration {
				t.Errorf("the expiration %q is lost", expiration)
			}
		}
		if v, _ := out.Header("kept"); (v == value) != (w.size != withoutHeaders) && name != "kept" {
			t.Errorf("size %d keeps %v", w.size, v)
		}
		text, has := out.Header(HeaderError)
		if has == (w.size == withoutDetails) {
			t.Errorf("size %d says %v", w.size, text)
		}
		if s, _ := text.(string); len(s) > maxDetail || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is said as %q", cause, s)
		}
	})
}
