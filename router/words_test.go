package router

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func drawTarget(t *rapid.T) Target {
	name := rapid.StringMatching(`[a-zA-Z0-9_./:@#-]{0,12}`)
	target := Target{Kind: TargetKind(rapid.IntRange(0, 7).Draw(t, "kind"))}
	switch target.Kind {
	case TargetExchange, TargetTopic:
		target.Exchange, target.Topic = name.Draw(t, "exchange"), name.Draw(t, "topic")
	case TargetServer:
		target.Exchange, target.Topic, target.Server = name.Draw(t, "exchange"), name.Draw(t, "topic"), name.Draw(t, "server")
	case TargetNotify:
		target.Exchange, target.Topic, target.Priority = name.Draw(t, "exchange"), name.Draw(t, "topic"), name.Draw(t, "priority")
	case TargetFanout:
		target.Topic = name.Draw(t, "topic")
	case TargetQueue:
		target.Queue = name.Draw(t, "queue")
	}
	return target
}

// An allow list is about text, so no valid target may have the text of one that
// leads elsewhere.
func TestTargetTextNamesOnePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target := drawTarget(t)
		if target.Validate() != nil {
			t.Skip("invalid")
		}
		back, err := ParseTarget(target.String())
		if err != nil {
			t.Fatalf("%#v is written as %q: %v", target, target, err)
		}
		exchange, key := target.Address()
		if e, k := back.Address(); back.Kind != target.Kind || e != exchange || k != key {
			t.Fatalf("%#v is written as %q, which is %#v", target, target, back)
		}
		whole := target.Kind != TargetServer || !strings.Contains(target.Topic, ".")
		if whole = whole && !strings.Contains(target.Priority, "."); whole && back != target && back.Exchange != DefaultExchange {
			t.Fatalf("%#v is written as %q, which is %#v", target, target, back)
		}
	})
}

func TestInvalidTargets(t *testing.T) {
	for _, target := range []Target{
		{},
		{Kind: 99},
		{Kind: TargetQueue},
		{Kind: TargetTopic},
		{Kind: TargetServer, Topic: "t"},
		{Kind: TargetNotify, Topic: "t"},
		{Kind: TargetFanout},
		{Kind: TargetQueue, Queue: strings.Repeat("q", 256)},
		{Kind: TargetServer, Topic: strings.Repeat("q", 200), Server: strings.Repeat("q", 55)},
		{Kind: TargetQueue, Queue: "a\nb"},
		{Kind: TargetQueue, Queue: "a\x7fb"},
		{Kind: TargetTopic, Exchange: "a/b", Topic: "c"},
		{Kind: TargetExchange, Exchange: "a/b", Topic: "c"},
	} {
		if err := target.Validate(); err == nil {
			t.Errorf("%#v is valid", target)
		}
	}
	if err := (Target{Kind: TargetQueue, Queue: strings.Repeat("q", 255)}).Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{
		"queue:a", "exchange:/k", "exchange:e/a/b", "topic:t", "topic:e/t", "topic:/a/b", "server:t.s.x",
		"server:e/t.s", "fanout:t", "notify:t.info", "notify:e/a.b.info", "queue", "x:y", "", "server:t.",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err != nil {
			return
		}
		if again, err := ParseTarget(target.String()); err != nil || again != target {
			t.Errorf("%q is %#v, written as %q, which is %#v, %v", s, target, target, again, err)
		}
	})
}

func TestAllow(t *testing.T) {
	for pattern, test := range map[string]struct{ yes, no []string }{
		"queue:orders.*":   {[]string{"queue:orders.a", "queue:orders."}, []string{"queue:orders", "queue:ordersxa", "topic:orders.a", "queue:my.orders.a"}},
		"exchange:e/*":     {[]string{"exchange:e/", "exchange:e/a/b"}, []string{"exchange:ee/a"}},
		"topic:events/*":   {[]string{"topic:events/a"}, []string{"topic:/events/a"}},
		"*":                {[]string{"queue:a", "server:a.b"}, nil},
		"queue:a+(b)?[c]$": {[]string{"queue:a+(b)?[c]$"}, []string{"queue:aab"}},
		"queue:a*c":        {[]string{"queue:ac", "queue:abc", "queue:acc"}, []string{"queue:acd", "queue:a"}},
	} {
		a, err := NewAllow([]string{"fanout:never", pattern})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second answer is remembered
			for want, texts := range map[bool][]string{true: test.yes, false: test.no} {
				for _, s := range texts {
					target, err := ParseTarget(s)
					if err != nil {
						t.Fatal(err)
					}
					if got := a.Permits(target); got != want {
						t.Errorf("%q permits %s: %t", pattern, s, got)
					}
				}
			}
		}
	}
	none, err := NewAllow(nil)
	if err != nil || none.Permits(queue("a")) || none.Patterns() != nil {
		t.Error("no patterns permit something")
	}
	for name, want := range map[string]bool{"reply_1": true, "amq.gen-x": true, "amq.rabbitmq.reply-to.x": true, "orders": false, "": false} {
		if got := none.PermitsReply(name); got != want {
			t.Errorf("replies to %q: %t", name, got)
		}
	}
	if _, err := NewAllow([]string{"a", ""}); err == nil || !strings.Contains(err.Error(), "pattern 2") {
		t.Error(err)
	}
}

func FuzzNewAllow(f *testing.F) {
	for _, s := range []string{"queue:*", "*", "a*b*c", "[", "(?i)x", `\`, "\xff", "\n*"} {
		f.Add(s, "x")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		a, err := NewAllow([]string{pattern})
		if err != nil {
			return
		}
		target := queue(name)
		if got, want := a.Permits(target), glob(pattern, target.String()); got != want && utf8.ValidString(pattern+name) {
			t.Errorf("%q permits %q: %t, want %t", pattern, target, got, want)
		}
	})
}

// glob is the obvious matcher.
func glob(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	if !star {
		return s == ""
	}
	for i := range len(s) + 1 {
		if glob(rest, s[i:]) || strings.HasSuffix(pattern, "*") && rest == "" {
			return true
		}
	}
	return false
}

// Clones share their headers until one of them changes, and nobody sees that.
func TestEnvelopesOfOneOriginDoNotSeeEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := NewEnvelope(map[string]any{"a": 1}, nil)
		real := []*Envelope{&first}
		model := []map[string]any{{"a": 1}}
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		for step := range rapid.IntRange(1, 30).Draw(t, "steps") {
			i := rapid.IntRange(0, len(real)-1).Draw(t, "which")
			n := name.Draw(t, "name")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				c := real[i].Clone()
				real, model = append(real, &c), append(model, maps.Clone(model[i]))
			case 1, 2:
				real[i].SetHeader(n, step)
				model[i][n] = step
			case 3:
				real[i].DelHeader(n)
				delete(model[i], n)
			case 4:
				real[i].ClearHeaders()
				clear(model[i])
			}
			for i := range real {
				if !maps.Equal(real[i].Headers(), model[i]) {
					t.Fatalf("envelope %d has %v, want %v", i, real[i].Headers(), model[i])
				}
			}
		}
	})
}

func TestStrippedHeaders(t *testing.T) {
	nested := map[string]any{"x-router-reason": "kept"}
	e := NewEnvelope(map[string]any{"x-router-reason": 1, "X-Router-Route": 2, "x-routerless": 3, "x-router-": 4, "n": nested}, nil)
	before := e.Clone()
	stripRouterHeaders(&e)
	if diff := cmp.Diff(map[string]any{"x-routerless": 3, "n": nested}, e.Headers()); diff != "" {
		t.Error(diff)
	}
	if len(before.Headers()) != 5 {
		t.Error("a clone has lost them too")
	}
}

func TestOrderKeys(t *testing.T) {
	one := NewEnvelope(map[string]any{"h": "x", "n": int8(7)}, nil)
	one.CorrelationID, one.MessageID, one.ReplyTo, one.Type, one.AppID, one.UserID = "c", "m", "r", "t", "a", "u"
	one.Origin.RoutingKey = "k"
	for _, by := range []string{
		"header:h", "header:n", "routing_key", "property:correlation_id", "property:message_id",
		"property:reply_to", "property:type", "property:app_id", "property:user_id",
	} {
		key, err := ParseOrderKey(by)
		if err != nil {
			t.Fatal(err)
		}
		same := one.Clone()
		same.Body = []byte("other")
		var other Envelope
		if key(&one) != key(&same) {
			t.Errorf("%s: two keys for one value", by)
		}
		if key(&one) == key(&other) {
			t.Errorf("%s: one key whether it is there or not", by)
		}
	}
	for _, by := range []string{"", "header:", "property:", "property:priority", "routing-key", "queue"} {
		if _, err := ParseOrderKey(by); err == nil {
			t.Errorf("%q is accepted", by)
		}
	}
}

// What a filter says may be what a message says, and is told apart from what the
// router says.
func TestWordsOfFiltersAreLeftOut(t *testing.T) {
	for _, test := range []struct {
		fail   failure
		quotes bool
		want   string
	}{
		{failure{reason: ReasonRejected, filter: "f", stage: "decide", err: errors.New("secret")}, true, "rejected (filter f, stage decide)"},
		{failure{reason: ReasonAttempts, filter: "f", stage: "decide", err: errors.New("secret")}, true, "attempts (filter f, stage decide)"},
		{failure{reason: "filter-error", filter: "f", stage: "decide", err: errors.New("secret")}, true, "filter-error (filter f, stage decide)"},
		{failure{reason: "filter-deadline", filter: "f", stage: "decide", err: errors.New("50 ms")}, false, "filter-deadline (filter f, stage decide): 50 ms"},
		{failure{reason: ReasonNotAllowed, stage: "decide", err: errors.New("queue:a")}, false, "not-allowed: queue:a"},
		{failure{reason: ReasonUnroutable, err: errors.New("queue:a")}, false, "unroutable: queue:a"},
	} {
		loss := test.fail.loss()
		if got := test.fail.Error(); got != test.want || loss.Quotes() != test.quotes {
			t.Errorf("%s, which quotes: %t; want %s", got, loss.Quotes(), test.want)
		}
	}
	failed := func(class string) error {
		return &FilterError{Filter: "f", Stage: Decide, Class: class, Err: errors.New("words")}
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{failed("error"), "filter f: decide: error"},
		{failed("trap"), "filter f: decide: trap"},
		{failed("memory"), "filter f: decide: memory: words"},
		{&RestError{Filter: "f", Err: failed("trap")}, "filter f rests"},
		{fmt.Errorf("queue:a: %w", ErrNacked), "queue:a: refused by the broker"},
	} {
		if got := Discreet(test.err); got != test.want {
			t.Errorf("%v: %s", test.err, got)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"say \"hi\" to C:\\":           `say "hi" to C:\\`,
		"a\nb\x00\x1b[31m":             `a\nb\x00\x1b[31m`,
		"\u202eevil":                   `\u202eevil`,
		strings.Repeat("é", 200):       strings.Repeat("é", 128),
		strings.Repeat("x", 300):       strings.Repeat("x", 256),
		strings.Repeat("x", 1<<20):     strings.Repeat("x", 256),
		strings.Repeat("x", 255) + "é": strings.Repeat("x", 255),
	} {
		if got := printable(in, 256); got != want {
			t.Errorf("%.50q becomes %q", in, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		n := rapid.IntRange(0, 40).Draw(t, "n")
		got := printable(in, n)
		if len(got) > n || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q becomes %q at %d", in, got, n)
		}
	})
}

func TestRetryDelaysGrowToTheirBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := RetryPolicy{Backoff: time.Duration(rapid.Int64Range(1, math.MaxInt64/2).Draw(t, "backoff"))}
		p.MaxBackoff = time.Duration(rapid.Int64Range(int64(p.Backoff), math.MaxInt64).Draw(t, "most"))
		attempts := rapid.IntRange(0, 200).Draw(t, "attempts")
		want := float64(p.Backoff) * math.Pow(2, float64(max(0, attempts-1)))
		want = min(want, float64(p.MaxBackoff))
		if got := float64(p.delay(attempts)); got > want*1.000001 || got < want*0.749999-1 {
			t.Fatalf("%+v after %d: %v, want up to %v", p, attempts, got, want)
		}
	})
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, b := range HistogramBounds {
		h.Observe(b)
	}
	h.Observe(0)
	h.Observe(-1)
	h.Observe(HistogramBounds[len(HistogramBounds)-1] + 1)
	s := h.Stat()
	want := HistogramStat{Count: uint64(len(HistogramBounds) + 3), Sum: s.Sum}
	for i := range want.Counts {
		want.Counts[i] = 1
	}
	want.Counts[0] = 3
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	for i := 1; i < len(HistogramBounds); i++ {
		if HistogramBounds[i] <= HistogramBounds[i-1] {
			t.Errorf("bound %d is not above the one before", i)
		}
	}
}

func TestSeenForgetsTheOldest(t *testing.T) {
	s := newSeen(2, time.Minute)
	now := time.Now()
	key := func(id string) seenKey {
		e := NewEnvelope(nil, []byte("x"))
		e.MessageID = id
		return s.key(e.MessageID, &e, queue("q"), 0)
	}
	has := func() (all string) {
		for _, id := range []string{"a", "b", "c"} {
			if s.has(key(id), now) {
				all += id
			}
		}
		return all
	}
	for _, step := range []struct {
		what func()
		want string
	}{
		{func() { s.add(key("a"), now) }, "a"},
		{func() { s.add(key("b"), now) }, "ab"},
		{func() { s.add(key("c"), now) }, "bc"},
		{func() { s.add(key("b"), now) }, "bc"}, // anew: c is the oldest now, b's old place is
		{func() { s.forget(key("b")) }, "c"},
		{func() { s.add(key(""), now) }, "c"},
		{func() { now = now.Add(time.Minute + 1) }, ""},
	} {
		step.what()
		if got := has(); got != step.want {
			t.Errorf("knows %q, want %q", got, step.want)
		}
	}
	e := NewEnvelope(nil, []byte("x"))
	e.MessageID = "a"
	keys := map[seenKey]bool{s.key(e.MessageID, &e, queue("q"), 0): true, s.key(e.MessageID, &e, queue("q"), 1): true, s.key(e.MessageID, &e, queue("p"), 0): true}
	e.Body = []byte("y")
	keys[s.key(e.MessageID, &e, queue("q"), 0)] = true
	if len(keys) != 4 {
		t.Errorf("%d keys for 4 things", len(keys))
	}
}
