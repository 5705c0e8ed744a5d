package wasmhost

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// bytesMemory is guest memory for decode.
type bytesMemory []byte

func (m bytesMemory) Read(off, n uint32) ([]byte, bool) {
	if uint64(off)+uint64(n) > uint64(len(m)) {
		return nil, false
	}
	return m[off : off+n : off+n], true
}

// FuzzDelta decodes anything and, when it is accepted, applies it: neither may
// panic, what is refused must change nothing, and what is accepted must keep
// every promise that the rest of the router builds on.
func FuzzDelta(f *testing.F) {
	for _, s := range []string{
		"", ops(setHeader("a", typeUTF8, "x"), rawOp(opDelHeader, 0, "n", "")), ops(setProperty(34, u64(7)), setProperty(12, "10")),
		ops(target("server", "a\x00b\x00c"), action("forward", "")), ops(bodyRef(3, 9), emit(), bodyOp("x"), target("queue", "q")),
		ops(rawOp(opError, 2, "code", "text")), ops(action("retry", u64(1)+"why"), action("stop", "")), ops(rawOp(77, 1, "k", "v")),
		ops(action("retry", "soon")), ops(setHeader("CC", typeUTF8, "q")), ops(rawOp(opBody, 0, "", "x"))[:9], ops(setProperty(3, "\xff")),
		ops(rawOp(opClearHeaders, 0, "", ""), setHeader("f", typeFloat, float(1)), setHeader("b", typeBool, "\x01")),
	} {
		f.Add([]byte(s), uint8(2))
		f.Add([]byte(s), uint8(4))
	}
	lim := deltaLimits{output: 1 << 16, targets: 4, emit: 3}
	var x delta
	f.Fuzz(func(t *testing.T, data []byte, st uint8) {
		stage := router.Stage(st % uint8(router.NumStages))
		env := small("body")
		var d router.Decision
		fail := x.decode(data, stage, bytesMemory("0123456789abcdef"), lim)
		if fail != nil {
			if fail.class != ClassInvalid && fail.class != ClassError || fail.err == nil || !utf8.ValidString(fail.Error()) || len(fail.Error()) > 2000 {
				t.Errorf("%q: %v", fail.class, fail.err)
			}
			return
		}
		x.apply(env, &d)
		check := func(env *router.Envelope, targets []router.Target) {
			for k, v := range env.Headers() {
				if k == "" || len(k) > 255 || k == "CC" || k == "BCC" || strings.HasPrefix(strings.ToLower(k), "x-router-") {
					t.Errorf("header %q", k)
				}
				if _, err := appendJSON(nil, v, 0); err != nil {
					t.Errorf("header %q: %v", k, err)
				}
			}
			for _, s := range []string{env.ContentType, env.ContentEncoding, env.CorrelationID, env.ReplyTo, env.Expiration, env.MessageID, env.Type, env.AppID} {
				if len(s) > 255 || !utf8.ValidString(s) {
					t.Errorf("property %q", s)
				}
			}
			if env.DeliveryMode > 2 || env.UserID != "" || len(targets) > lim.targets {
				t.Errorf("%+v to %v", env.Properties, targets)
			}
			for _, to := range targets {
				if err := to.Validate(); err != nil {
					t.Error(err)
				}
			}
		}
		check(env, d.Targets)
		for i := range d.Emitted {
			if len(d.Emitted[i].Targets) == 0 {
				t.Error("an emitted message without a target")
			}
			check(&d.Emitted[i].Envelope, d.Emitted[i].Targets)
		}
		if stage != router.Decide && (len(d.Targets)+len(d.Emitted) > 0 || d.Action == router.Forward || d.Action == router.Reply) {
			t.Errorf("%s decided %+v", stage, d)
		}
		if len(d.Emitted) > lim.emit || d.Delay < 0 || len(d.Reason) > maxReason {
			t.Errorf("%+v", d)
		}
		// The same delta on the same message gives the same.
		again, d2 := small("body"), router.Decision{}
		if fail := x.decode(data, stage, bytesMemory("0123456789abcdef"), lim); fail != nil {
			t.Fatal(fail)
		}
		x.apply(again, &d2)
		if diff := cmp.Diff(show(env), show(again)); diff != "" && !strings.Contains(diff, "NaN") {
			t.Error(diff)
		}
	})
}

func TestCachesAreBounded(t *testing.T) {
	var c targetCache
	var n interner
	for i := range 3 * cacheEntries {
		name := []byte{'q', 'u', 'e', 'u', 'e', byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/676)}
		if _, err := c.target(name, 5); err != nil {
			t.Fatal(err)
		}
		n.str(name)
		if len(c.byOp) > cacheEntries || len(n.seen) > cacheEntries {
			t.Fatalf("%d targets, %d names", len(c.byOp), len(n.seen))
		}
		// The same bytes split elsewhere are another target.
		if _, err := c.target(name, 6); err == nil {
			t.Fatalf("%q is a kind", name[:6])
		}
	}
}

func TestCutText(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"plain", 10, "plain"},
		{"", 5, ""},
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc..."},
		{"a\r\nb", 10, `a\x0d\x0ab`},
		{"\x1b[1m", 10, `\x1b[1m`},
		{"t\u00e4xt", 10, "t\u00e4xt"},
		{"t\u00e4\u00e4\u00e4", 6, "t\u00e4..."},
		{"\u2028\u202e", 12, `\u2028\u202e`},
		{"\u0085", 10, `\x85`},
		{"\xff", 4, `\xff`},
		{"\ufffd", 3, "\ufffd"},
		{"\n\n\n\n", 10, `\x0a...`},
	} {
		if got := cutText(c.in, c.n); got != c.want {
			t.Errorf("%q cut at %d: %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

// TestADeltaReadAgain reads the same bytes twice: the second time they need not be
// decoded, but where they would mean something else they are.
func TestADeltaReadAgain(t *testing.T) {
	lim := deltaLimits{output: 1 << 16, targets: 4, emit: 3}
	mem := bytesMemory("0123456789")
	var x delta
	read := func(text string, stage router.Stage) ([]router.Target, string, bool) {
		env, d := small("body"), router.Decision{}
		if fail := x.read([]byte(text), stage, mem, lim); fail != nil {
			return nil, "", false
		}
		x.apply(env, &d)
		return d.Targets, string(env.Body), true
	}
	to := ops(target("queue", "a"))
	want := []router.Target{{Kind: router.TargetQueue, Queue: "a"}}
	for range 2 {
		if got, _, ok := read(to, router.Decide); !ok || !slices.Equal(got, want) {
			t.Errorf("decide: %v, %v", got, ok)
		}
	}
	if _, _, ok := read(to, router.Pack); ok {
		t.Error("a target was taken in the pack stage")
	}
	if got, _, ok := read(to, router.Decide); !ok || !slices.Equal(got, want) {
		t.Errorf("decide, after a failure: %v, %v", got, ok)
	}
	ref := ops(bodyRef(2, 3))
	for _, want := range []string{"234", "cde"} {
		if _, body, ok := read(ref, router.Decide); !ok || body != want {
			t.Errorf("the body is %q, not %q", body, want)
		}
		mem = bytesMemory("abcdefghij") // a memory that has grown lies elsewhere
	}
}
