package wasmhost

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wasmrouter/router/router"
)

var kvStart = time.Unix(1700000000, 0)

// kvCall is one call of the guest kv. Arguments of type string and []byte become
// a pointer and a length, an outside becomes itself.
type kvCall struct {
	what  byte
	quiet bool
	args  []any
	at    time.Duration // when the message is received, after kvStart
}

// outside is an argument that is passed as it is.
type outside int64

const kvHead = 64

func (c kvCall) envelope() *router.Envelope {
	body := make([]byte, kvHead)
	body[0] = c.what
	if c.quiet {
		body[1] = 1
	}
	n := 0
	arg := func(v int64) {
		binary.LittleEndian.PutUint64(body[8+8*n:], uint64(v))
		n++
	}
	for _, a := range c.args {
		switch a := a.(type) {
		case string:
			body[2] |= 1 << n
			arg(int64(len(body)))
			arg(int64(len(a)))
			body = append(body, a...)
		case outside:
			arg(int64(a))
		case int:
			arg(int64(a))
		}
	}
	env := router.NewEnvelope(nil, body)
	env.Origin.Received = kvStart.Add(c.at)
	return &env
}

// do runs the call and returns what the function did, and the data of its first
// pointer but the key.
func (c kvCall) do(t testing.TB, in router.Filter) (int64, string) {
	t.Helper()
	env, d := c.envelope(), router.Decision{}
	if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
		t.Fatalf("%c %v: %v", c.what, c.args, err)
	}
	r, _ := env.Header("r")
	key, _ := c.args[0].(string)
	return r.(int64), string(env.Body[kvHead+len(key):])
}

// none is kv_swap's old value when there must be no entry.
var none = []any{outside(0), outside(-1)}

func kvFilter(t testing.TB, limits Limits) (*Filter, router.Filter) {
	t.Helper()
	return load(t, FilterConfig{Module: cGuest(t, "kv"), Grants: Grants{KV: true}, Limits: limits})
}

func TestKV(t *testing.T) {
	f, in := kvFilter(t, Limits{KVSize: 4096, KVTTL: time.Minute})
	long := strings.Repeat("k", 256)
	swap := func(key string, old []any, rest ...any) kvCall {
		return kvCall{what: 'w', args: append(append([]any{key}, old...), rest...)}
	}
	const dots = "................"
	for i, c := range []struct {
		kvCall
		want int64
		data string
	}{
		{kvCall{what: 'g', args: []any{"a", dots}}, -1, dots},
		{kvCall{what: 's', args: []any{"a", "value", 0}}, 1, "value"},
		{kvCall{what: 'g', args: []any{"a", dots}}, 5, "value" + dots[5:]},
		{kvCall{what: 'g', args: []any{"a", "...."}}, 5, "...."}, // it does not fit
		{kvCall{what: 'g', args: []any{"a", "....."}}, 5, "value"},
		{kvCall{what: 's', args: []any{"a", "", 0}}, 1, ""},
		{kvCall{what: 'g', args: []any{"a", outside(0), outside(0)}}, 0, ""},
		{kvCall{what: 'd', args: []any{"a"}}, 1, ""},
		{kvCall{what: 'd', args: []any{"a"}}, 0, ""},
		{kvCall{what: 'g', args: []any{"a", dots}}, -1, dots},

		{kvCall{what: 's', args: []any{"", "value", 0}}, 0, "value"},
		{kvCall{what: 's', args: []any{long, "value", 0}}, 0, "value"},
		{kvCall{what: 's', args: []any{long[1:], "value", 0}}, 1, "value"},
		{kvCall{what: 's', args: []any{"q", strings.Repeat("v", 1024-128), 0}}, 0, strings.Repeat("v", 1024-128)},
		{kvCall{what: 's', args: []any{"q", strings.Repeat("v", 1024-129), 0}}, 1, strings.Repeat("v", 1024-129)},
		{kvCall{what: 's', args: []any{"q", strings.Repeat("w", 1024-128), 0}}, 0, strings.Repeat("w", 1024-128)},
		{kvCall{what: 'g', args: []any{"q", outside(0), outside(0)}}, 1024 - 129, ""}, // refused, it stays as it was

		{swap("s", []any{"old"}, "new", 0), 0, "oldnew"},
		{swap("s", none, "new", 0), 1, "new"},
		{swap("s", none, "newer", 0), 0, "newer"},
		{swap("s", []any{"old"}, "newer", 0), 0, "oldnewer"},
		{swap("s", []any{"new"}, "newer", 0), 1, "newnewer"},
		{swap("s", []any{"newer"}, strings.Repeat("v", 1024), 0), 0, "newer" + strings.Repeat("v", 1024)},
		{kvCall{what: 'g', args: []any{"s", dots}}, 5, "newer" + dots[5:]},
		{swap("", none, "new", 0), 0, "new"},

		{kvCall{what: 'a', args: []any{"n", 2, 0}}, 2, ""},
		{kvCall{what: 'a', args: []any{"n", -5, 0}}, -3, ""},
		{kvCall{what: 'g', args: []any{"n", dots}}, 8, "\xfd\xff\xff\xff\xff\xff\xff\xff" + dots[8:]},
		{kvCall{what: 'a', args: []any{"n", math.MinInt64, 0}}, math.MaxInt64 - 2, ""},
		{kvCall{what: 'a', args: []any{"n", math.MaxInt64, 0}}, -4, ""},
		{kvCall{what: 'a', args: []any{"s", 7, 0}}, 7, ""}, // its value had another length
		{kvCall{what: 'a', args: []any{"s", 7, 0}}, 14, ""},
		{kvCall{what: 'a', args: []any{long, 7, 0}}, 7, ""},
		{kvCall{what: 'a', args: []any{long, 7, 0}}, 7, ""}, // not stored
		{kvCall{what: 'd', args: []any{long}}, 0, ""},
	} {
		got, data := c.do(t, in)
		if got != c.want || data != c.data {
			t.Errorf("%d, %c %.40v: %d %q, want %d %q", i, c.what, c.args, got, data, c.want, c.data)
		}
	}
	want := &KVStat{Entries: 4, Bytes: 4*128 + 255 + 5 + 1 + 895 + 1 + 8 + 1 + 8, Hits: 15, Misses: 5}
	if diff := cmp.Diff(want, f.Stat().KV); diff != "" {
		t.Error(diff)
	}
}

func TestKVTimeToLive(t *testing.T) {
	_, in := kvFilter(t, Limits{KVTTL: time.Minute})
	get := func(key string, at time.Duration) int64 {
		t.Helper()
		n, _ := kvCall{what: 'g', args: []any{key, outside(0), outside(0)}, at: at}.do(t, in)
		return n
	}
	for key, ttl := range map[string]int{"own": 500, "default": 0, "negative": -3, "capped": math.MaxInt64} {
		kvCall{what: 's', args: []any{key, "v", ttl}}.do(t, in)
	}
	kvCall{what: 'a', args: []any{"sum", 1, 500}}.do(t, in)
	for ttl, want := range map[int]int64{-1: 1, 0: 1, 60000: 1, 60001: 2, math.MaxInt64: 2} {
		if got, _ := (kvCall{what: 's', args: []any{"ttl", "v", ttl}}).do(t, in); got != want {
			t.Errorf("kv_set for %d ms: %d, want %d", ttl, got, want)
		}
	}
	if get("own", 499*time.Millisecond) != 1 || get("sum", 499*time.Millisecond) != 8 {
		t.Error("an entry died too early")
	}
	// An older message in another lane does not turn the clock back: what is set
	// with it lives from 499 ms on.
	kvCall{what: 's', args: []any{"late", "v", 2}, at: 100 * time.Millisecond}.do(t, in)
	// Adding does not prolong a life.
	if n, _ := (kvCall{what: 'a', args: []any{"sum", 1, 10000}, at: 499 * time.Millisecond}).do(t, in); n != 2 {
		t.Errorf("the sum is %d", n)
	}
	if get("late", 500*time.Millisecond) != 1 || get("own", 500*time.Millisecond) != -1 {
		t.Error("at 500 ms")
	}
	if n, _ := (kvCall{what: 'a', args: []any{"sum", 1, 10000}, at: 500 * time.Millisecond}).do(t, in); n != 1 {
		t.Errorf("after its death the sum is %d", n)
	}
	if get("late", 501*time.Millisecond) != -1 {
		t.Error("at 501 ms")
	}
	for _, key := range []string{"default", "negative", "capped"} {
		if get(key, time.Minute-1) != 1 {
			t.Errorf("%s died too early", key)
		}
	}
	for _, key := range []string{"default", "negative", "capped"} {
		if get(key, time.Minute) != -1 {
			t.Errorf("%s outlived kv_ttl", key)
		}
	}
}

// The clock is the newest message that any instance got, those included that do
// not use the cache; between messages of a broker it is monotonic.
func TestKVClock(t *testing.T) {
	f, in := kvFilter(t, Limits{})
	kvCall{what: 's', args: []any{"k", "v", 1000}}.do(t, in)
	idle := kvCall{what: '-', quiet: true, at: time.Second}
	var d router.Decision
	if err := in.Run(context.Background(), router.Decide, idle.envelope(), &d); err != nil {
		t.Fatal(err)
	}
	if n, _ := (kvCall{what: 'g', args: []any{"k", outside(0), outside(0)}}).do(t, in); n != -1 {
		t.Error("the clock went back, or never moved")
	}
	env := (kvCall{what: '-', quiet: true}).envelope()
	env.Origin.Received = time.Time{}
	if err := in.Run(context.Background(), router.Decide, env, &d); err != nil || f.kv.now.Load() != int64(time.Second) {
		t.Errorf("a message without a time: %v, %v", time.Duration(f.kv.now.Load()), err)
	}

	c := newKVCache(4096, time.Hour)
	now := time.Now()
	c.see(now)
	c.see(now.Add(time.Second))
	c.see(now.Round(0).Add(time.Millisecond)) // without a monotonic reading
	if got := c.now.Load(); got != int64(time.Second) {
		t.Error(time.Duration(got))
	}
}

func TestKVEviction(t *testing.T) {
	f, in := kvFilter(t, Limits{KVSize: 4096})
	// 128 + 1 + 127 bytes: 16 fit.
	value := strings.Repeat("v", 127)
	set := func(key string, ttl int) {
		t.Helper()
		if n, _ := (kvCall{what: 's', args: []any{key, value, ttl}}).do(t, in); n != 1 {
			t.Fatalf("%s was refused", key)
		}
	}
	has := func(key string) bool { return f.kv.entries[key] != nil }
	for i := range 16 {
		set(string(rune('a'+i)), 0)
	}
	kvCall{what: 'g', args: []any{"a", outside(0), outside(0)}}.do(t, in)
	kvCall{what: 'w', args: []any{"b", "not this", "x", 0}}.do(t, in)
	kvCall{what: 'a', args: []any{"d", 1, 0}}.do(t, in) // becomes 119 bytes smaller
	set("q", 0)                                         // c, the least recently used, goes
	if !has("a") || !has("b") || has("c") || !has("d") || !has("e") || !has("q") {
		t.Error("the wrong entry made room")
	}
	if s := f.Stat().KV; s.Entries != 16 || s.Bytes != 16*256-119 || s.Evictions != 1 {
		t.Errorf("%+v", s)
	}
	// One big value takes the room of several, and never more than it needs.
	big := strings.Repeat("w", 1024-129)
	kvCall{what: 's', args: []any{"r", big, 0}}.do(t, in)
	if s := f.Stat().KV; s.Entries != 13 || s.Bytes != 16*256-119+1024-4*256 || s.Evictions != 5 {
		t.Errorf("%+v", s)
	}
	// A dead entry that makes room is not counted.
	set("z", 5)
	for i := range 16 {
		kvCall{what: 's', args: []any{fmt.Sprintf("%03d", i), value[2:], 0}, at: 10 * time.Millisecond}.do(t, in)
	}
	if s := f.Stat().KV; s.Entries != 16 || s.Bytes != 16*256 || s.Evictions != 5+13 {
		t.Errorf("%+v", s)
	}
}

func TestKVBadPointers(t *testing.T) {
	f, in := kvFilter(t, Limits{KVSize: 4096})
	kvCall{what: 's', args: []any{"k", "value", 0}}.do(t, in)
	const page, end = outside(64 << 10), outside(64 << 20) // the guest has no 64 MiB
	for _, c := range []kvCall{
		{what: 'g', args: []any{end, outside(1), outside(0), outside(0)}},
		{what: 'g', args: []any{page, outside(-1), outside(0), outside(0)}},
		{what: 'g', args: []any{"k", end, outside(5)}},
		{what: 'g', args: []any{"k", end, outside(-1)}},
		{what: 's', args: []any{end, outside(1), "v", 0}},
		{what: 's', args: []any{"k", end, outside(1), 0}},
		{what: 's', args: []any{"k", page, outside(-1), 0}},
		{what: 'w', args: []any{end, outside(1), outside(0), outside(-1), "v", 0}},
		{what: 'w', args: []any{"k", end, outside(1), "v", 0}},
		{what: 'w', args: []any{"k", outside(0), outside(-1), end, outside(1), 0}},
		{what: 'a', args: []any{end, outside(1), 1, 0}},
		{what: 'd', args: []any{end, outside(1)}},
	} {
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, c.envelope(), &d); classOf(t, err) != ClassInvalid {
			t.Errorf("%c %v: %v", c.what, c.args, err)
		}
	}
	// A buffer that reaches beyond the memory is no error while the value does
	// not; nor is one of a value that is not there or does not fit.
	size := outside(guestSize(t, in.(*Instance)))
	for _, c := range []struct {
		kvCall
		want int64
	}{
		{kvCall{what: 'g', args: []any{"k", size - 5, outside(-1)}}, 5},
		{kvCall{what: 'g', args: []any{"k", end, outside(4)}}, 5},
		{kvCall{what: 'g', args: []any{"absent", end, outside(4)}}, -1},
	} {
		if got, _ := c.do(t, in); got != c.want {
			t.Errorf("%v: %d, want %d", c.args, got, c.want)
		}
	}
	if n := discards(f); n != 12 {
		t.Errorf("%d instances discarded", n)
	}
}

// guestSize returns the size of the guest's memory.
func guestSize(t *testing.T, in *Instance) uint32 {
	t.Helper()
	if in.guest == nil { // the last call failed
		g, _, rest := in.filter.supply.take()
		if rest != nil {
			t.Fatal(rest)
		}
		in.adopt(g)
	}
	return in.guest.mem.Size()
}

func TestKVBelongsToTheFilter(t *testing.T) {
	h := newHost(t, Config{})
	lanes := map[string]router.Filter{}
	for _, name := range []string{"one", "two"} {
		f, err := h.Load(context.Background(), FilterConfig{Name: name, Module: cGuest(t, "kv"), Grants: Grants{KV: true}})
		if err != nil {
			t.Fatal(err)
		}
		for _, lane := range []string{"a", "b"} {
			in, err := f.Instance(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(in.Close)
			lanes[name+lane] = in
		}
	}
	kvCall{what: 's', args: []any{"k", "value", 0}}.do(t, lanes["onea"])
	got := map[string]int64{}
	for name, in := range lanes {
		got[name], _ = kvCall{what: 'g', args: []any{"k", outside(0), outside(0)}}.do(t, in)
	}
	if diff := cmp.Diff(map[string]int64{"onea": 5, "oneb": 5, "twoa": -1, "twob": -1}, got); diff != "" {
		t.Error(diff)
	}
}

// What a failed instance stored stays, and so does an entry while lanes come and
// go.
func TestKVOutlivesInstances(t *testing.T) {
	f, in := kvFilter(t, Limits{})
	kvCall{what: 's', args: []any{"k", "value", 0}}.do(t, in)
	var d router.Decision
	bad := kvCall{what: 'g', args: []any{outside(-1), outside(1)}}
	if err := in.Run(context.Background(), router.Decide, bad.envelope(), &d); classOf(t, err) != ClassInvalid {
		t.Fatal(err)
	}
	in.Close()
	next, err := f.Instance(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if n, _ := (kvCall{what: 'g', args: []any{"k", outside(0), outside(0)}}).do(t, next); n != 5 {
		t.Errorf("kv_get: %d", n)
	}
}

func TestKVIsAtomic(t *testing.T) {
	const lanes, calls = 4, 300
	f, _ := kvFilter(t, Limits{})
	var swaps sync.Map // the values that a kv_swap found absent
	var group sync.WaitGroup
	for lane := range lanes {
		group.Go(func() {
			in, err := f.Instance(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			defer in.Close()
			for i := range calls {
				kvCall{what: 'a', args: []any{"sum", 1, 0}}.do(t, in)
				kvCall{what: 'a', args: []any{fmt.Sprintf("lane%d", lane), 1, 0}}.do(t, in)
				key := fmt.Sprint("only", i)
				if n, _ := (kvCall{what: 'w', args: append(append([]any{key}, none...), "mine", 0)}).do(t, in); n == 1 {
					if _, twice := swaps.LoadOrStore(i, lane); twice {
						t.Errorf("two lanes were first with %s", key)
					}
				}
				kvCall{what: 's', args: []any{"text", strings.Repeat(string(rune('a'+lane)), 100), 0}}.do(t, in)
				if _, text := (kvCall{what: 'g', args: []any{"text", strings.Repeat(".", 100)}}).do(t, in); text != strings.Repeat(text[:1], 100) {
					t.Errorf("a torn value: %s", text)
				}
				_ = f.Stat()
			}
		})
	}
	group.Wait()
	if sum := int64(binary.LittleEndian.Uint64(f.kv.entries["sum"].value)); sum != lanes*calls {
		t.Errorf("the sum is %d, want %d", sum, lanes*calls)
	}
	for i := range calls {
		if _, ok := swaps.Load(i); !ok {
			t.Errorf("nobody was first with only%d", i)
		}
	}
}

func TestKVHitsDoNotAllocate(t *testing.T) {
	_, in := kvFilter(t, Limits{})
	kvCall{what: 's', args: []any{"key", "value", 0}}.do(t, in)
	kvCall{what: 'a', args: []any{"sum", 1, 0}}.do(t, in)
	for name, c := range map[string]kvCall{
		"get":       {what: 'g', quiet: true, args: []any{"key", "........"}},
		"get, miss": {what: 'g', quiet: true, args: []any{"absent", "........"}},
		"add":       {what: 'a', quiet: true, args: []any{"sum", 1, 0}},
		"set":       {what: 's', quiet: true, args: []any{"key", "other", 0}},
		"swap":      {what: 'w', quiet: true, args: []any{"key", "other", "other", 0}},
	} {
		env := c.envelope()
		var d router.Decision
		got := testing.AllocsPerRun(1000, func() {
			d.Reset()
			if err := in.Run(context.Background(), router.Decide, env, &d); err != nil {
				t.Fatal(err)
			}
		})
		if got != 0 {
			t.Errorf("%s: %v allocations for each call", name, got)
		}
	}
}

func TestKVCostsFuel(t *testing.T) {
	const fuel = 4000 // less than a slice, so that all of it is handed out at once
	_, in := kvFilter(t, Limits{Fuel: fuel})
	cheap := kvCall{what: 's', quiet: true, args: []any{"k", "value", 0}}
	dear := kvCall{what: 's', quiet: true, args: []any{"k", strings.Repeat("v", 100<<10), 0}}
	spent := func(c kvCall) int64 {
		var d router.Decision
		if err := in.Run(context.Background(), router.Decide, c.envelope(), &d); err != nil {
			t.Fatal(err)
		}
		return fuel - int64(in.(*Instance).guest.budget.fuel.Get())
	}
	if few, many := spent(cheap), spent(dear); many-few < 100<<10/bytesPerFuel-1 {
		t.Errorf("%d fuel for 5 bytes, %d for 100 KiB", few, many)
	}
}

// kvModel is what kvCache should do, in the simplest way.
type kvModel struct {
	size, now int64
	ttl       int64          // ms
	entries   []kvModelEntry // the one used last comes first
}

type kvModelEntry struct {
	key, value string
	dies       int64
}

func (m *kvModel) find(key string) *kvModelEntry {
	i := slices.IndexFunc(m.entries, func(e kvModelEntry) bool { return e.key == key })
	if i < 0 {
		return nil
	}
	e := m.entries[i]
	m.entries = slices.Delete(m.entries, i, i+1)
	if e.dies <= m.now {
		return nil
	}
	m.entries = slices.Insert(m.entries, 0, e)
	return &m.entries[0]
}

func (m *kvModel) bytes() int64 {
	n := int64(0)
	for _, e := range m.entries {
		n += int64(len(e.key)+len(e.value)) + 128
	}
	return n
}

func (m *kvModel) put(key, value string, ttl int64) {
	if ttl <= 0 || ttl > m.ttl {
		ttl = m.ttl
	}
	if m.find(key) == nil {
		m.entries = slices.Insert(m.entries, 0, kvModelEntry{key: key})
	}
	m.entries[0].value, m.entries[0].dies = value, m.now+ttl*int64(time.Millisecond)
	for m.bytes() > m.size {
		m.entries = m.entries[:len(m.entries)-1]
	}
}

func TestKVModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &kvModel{size: 4096, ttl: 50}
		c := newKVCache(m.size, time.Duration(m.ttl)*time.Millisecond)
		c.see(kvStart)
		key := rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"a", "b", "cc", "dd", "e", "f", "g", "h", "i", "j", "", strings.Repeat("x", 255), strings.Repeat("y", 256)}).Draw(t, "key")
		})
		value := rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.SampledFrom([]string{"v", "w"}).Draw(t, "of"), rapid.SampledFrom([]int{0, 1, 8, 300, 640, 895, 896}).Draw(t, "length"))
		})
		ttl := rapid.Int64Range(-1, 60)
		fits := func(key, value string) bool {
			return len(key) > 0 && len(key) <= 255 && len(key)+len(value)+128 <= 1024
		}
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				at := m.now + rapid.Int64Range(-20, 20).Draw(t, "ms")*int64(time.Millisecond)
				c.see(kvStart.Add(time.Duration(at)))
				m.now = max(m.now, at)
			},
			"get": func(t *rapid.T) {
				k, room := key.Draw(t, "key"), make([]byte, rapid.SampledFrom([]int{0, 8, 1024}).Draw(t, "room"))
				n, ok := c.get([]byte(k), room)
				e := m.find(k)
				if ok != (e != nil) || ok && (n != len(e.value) || n <= len(room) && string(room[:n]) != e.value) {
					t.Fatalf("get %q: %d %v, want %v", k, n, ok, e)
				}
			},
			"set": func(t *rapid.T) {
				k, v, ttl := key.Draw(t, "key"), value.Draw(t, "value"), ttl.Draw(t, "ttl")
				if c.fits([]byte(k), len(v)) != fits(k, v) {
					t.Fatalf("set %q %d bytes: it fits, or not", k, len(v))
				}
				if fits(k, v) {
					c.set([]byte(k), []byte(v), ttl)
					m.put(k, v, ttl)
				}
			},
			"swap": func(t *rapid.T) {
				k, old, v, ttl := key.Draw(t, "key"), value.Draw(t, "old"), value.Draw(t, "value"), ttl.Draw(t, "ttl")
				absent := rapid.Bool().Draw(t, "absent")
				if !fits(k, v) {
					return
				}
				_, ok := c.swap([]byte(k), []byte(old), absent, []byte(v), ttl)
				e := m.find(k)
				want := absent && e == nil || !absent && e != nil && e.value == old
				if want {
					m.put(k, v, ttl)
				}
				if ok != want {
					t.Fatalf("swap %q: %v, want %v", k, ok, want)
				}
			},
			"add": func(t *rapid.T) {
				k, n, ttl := key.Draw(t, "key"), rapid.Int64().Draw(t, "n"), ttl.Draw(t, "ttl")
				if !fits(k, "12345678") {
					return
				}
				got, _ := c.add([]byte(k), n, ttl)
				if e := m.find(k); e != nil && len(e.value) == 8 {
					n += int64(binary.LittleEndian.Uint64([]byte(e.value)))
					e.value = string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
				} else {
					m.put(k, string(binary.LittleEndian.AppendUint64(nil, uint64(n))), ttl)
				}
				if got != n {
					t.Fatalf("add %q: %d, want %d", k, got, n)
				}
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				e := m.find(k)
				if e != nil {
					m.entries = m.entries[1:]
				}
				if got := c.del([]byte(k)); got != (e != nil) {
					t.Fatalf("delete %q: %v", k, got)
				}
			},
			"": func(t *rapid.T) {
				if c.bytes > c.size || c.bytes != m.bytes() || len(c.entries) != len(m.entries) {
					t.Fatalf("%d entries of %d bytes, want %d of %d", len(c.entries), c.bytes, len(m.entries), m.bytes())
				}
				e := &c.ring
				for _, want := range m.entries {
					e = e.next
					if e.key != want.key || string(e.value) != want.value || e.dies != want.dies || c.entries[e.key] != e || e.next.prev != e {
						t.Fatalf("%+v, want %+v", e, want)
					}
				}
				if e.next != &c.ring {
					t.Fatal("the ring is longer than the map")
				}
			},
		})
	})
}
