package shadow

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

func sample() outcome {
	env := router.NewEnvelope(map[string]any{
		"text": "a", "number": int64(1), "nan": math.NaN(), "list": []any{int32(1), "x"}, "at": time.Unix(5, 0).UTC(),
	}, []byte("the body"))
	env.MessageID, env.Timestamp = "m", time.Unix(9, 0)
	d := router.Decision{Action: router.Forward, Targets: []router.Target{{Kind: router.TargetQueue, Queue: "q"}}}
	d.Emitted = []router.Emission{{Envelope: router.NewEnvelope(map[string]any{"e": "1"}, []byte("made")), Targets: slices.Clone(d.Targets)}}
	return outcome{env, d, nil}
}

func whats(parts []Part) []string { return Difference{Parts: parts}.whats() }

func TestTheSameIsNoDifference(t *testing.T) {
	a, b := sample(), sample()
	b.env.Timestamp = b.env.Timestamp.In(time.FixedZone("x", 3600))
	if parts := difference(a, b); len(parts) != 0 {
		t.Errorf("%+v", parts)
	}
	a.env.Body, b.env.Body = nil, []byte{}
	if parts := difference(a, b); len(parts) != 0 {
		t.Errorf("a body without bytes: %+v", parts)
	}
	fail := func(text string) error { return &router.FilterError{Class: "error", Err: errors.New(text)} }
	a.err, b.err = fail("one way"), fail("another way")
	b.env.Body = []byte("half changed")
	if parts := difference(a, b); len(parts) != 0 {
		t.Errorf("after the same failure: %+v", parts)
	}
}

func TestWhatDiffersIsNamed(t *testing.T) {
	queue := func(name string) router.Target { return router.Target{Kind: router.TargetQueue, Queue: name} }
	for want, change := range map[string]func(o *outcome){
		"action":             func(o *outcome) { o.d.Action = router.Drop },
		"targets":            func(o *outcome) { o.d.Targets = append(o.d.Targets, queue("more")) },
		"reason":             func(o *outcome) { o.d.Reason = "why" },
		"delay":              func(o *outcome) { o.d.Delay = time.Second },
		"stop":               func(o *outcome) { o.d.Stop = true },
		"emitted":            func(o *outcome) { o.d.Emitted = nil },
		"emitted 1: targets": func(o *outcome) { o.d.Emitted[0].Targets = []router.Target{queue("x")} },
		"emitted 1: body":    func(o *outcome) { o.d.Emitted[0].Envelope.Body = []byte("x") },
		"header text":        func(o *outcome) { o.env.SetHeader("text", []byte("a")) },
		"header number":      func(o *outcome) { o.env.SetHeader("number", int32(1)) },
		"header nan":         func(o *outcome) { o.env.SetHeader("nan", 1.0) },
		"header list":        func(o *outcome) { o.env.SetHeader("list", []any{int32(1), "y"}) },
		"header at":          func(o *outcome) { o.env.DelHeader("at") },
		"header new":         func(o *outcome) { o.env.SetHeader("new", nil) },
		"body":               func(o *outcome) { o.env.Body = []byte("the other") },
		"failure":            func(o *outcome) { o.err = errors.New("x") },
		"property message_id": func(o *outcome) {
			o.env.MessageID = "other"
		},
		"property delivery_mode": func(o *outcome) { o.env.DeliveryMode = 2 },
	} {
		b := sample()
		change(&b)
		if diff := cmp.Diff([]string{want}, whats(difference(sample(), b))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{want}, whats(difference(b, sample()))); diff != "" {
			t.Error("the other way round:", diff)
		}
	}
}

func TestNoPropertyIsForgotten(t *testing.T) {
	for i := range reflect.TypeFor[router.Properties]().NumField() {
		a, b := sample(), sample()
		switch f := reflect.ValueOf(&b.env.Properties).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Uint8:
			f.SetUint(7)
		default:
			f.Set(reflect.ValueOf(time.Unix(77, 0)))
		}
		if parts := difference(a, b); len(parts) != 1 || parts[0].oldSize == "" {
			t.Errorf("property %d: %+v", i, parts)
		}
	}
}

// Without values nothing of a message's content is left.
func TestHiddenDifferencesHoldNoContent(t *testing.T) {
	a, b := sample(), sample()
	for _, o := range []struct {
		o    *outcome
		text string
	}{{&a, "s3cret-old"}, {&b, "s3cret-new!"}} {
		o.o.env.Body = []byte(o.text)
		o.o.env.SetHeader("text", o.text)
		o.o.env.SetHeader("bytes", []byte(o.text))
		o.o.env.SetHeader("list", []any{o.text})
		o.o.env.UserID = o.text
		o.o.d.Emitted[0].Envelope.Body = []byte(o.text)
	}
	d := Difference{Parts: difference(a, b), Body: "s3cret"}
	if len(d.Parts) != 6 {
		t.Errorf("%+v", d)
	}
	hidden := d.hidden()
	for _, p := range hidden.Parts {
		if strings.Contains(p.Old+p.New, "s3cret") || p.Old == "" || p.New == "" {
			t.Errorf("%+v", p)
		}
	}
	if hidden.Body != "" || d.Body == "" || !strings.Contains(d.Parts[0].Old, "s3cret") {
		t.Errorf("%+v of %+v", hidden, d)
	}
}

func TestTextsAreBounded(t *testing.T) {
	a, b := sample(), sample()
	a.env.Body = []byte(strings.Repeat("a", 3*maxBody) + "x" + strings.Repeat("a", 3*maxBody))
	b.env.Body = []byte(strings.Repeat("a", 3*maxBody) + "y" + strings.Repeat("a", 3*maxBody))
	b.env.SetHeader("text", strings.Repeat("ü", maxValue))
	for i := range 2 * maxParts {
		b.env.SetHeader("more"+strings.Repeat("x", i), int64(i))
	}
	parts := difference(a, b)
	if len(parts) != maxParts {
		t.Errorf("%d parts", len(parts))
	}
	x := &differ{}
	x.envelopes("", &a.env, &router.Envelope{Body: b.env.Body, Properties: a.env.Properties})
	body := x.parts[len(x.parts)-1]
	if len(body.Old) > maxBody+8 || !strings.Contains(body.Old, "x") || !strings.Contains(body.New, "y") || body.oldSize != "12289 bytes, differs from byte 6144" {
		t.Errorf("%d bytes: %+v", len(body.Old), body)
	}
}
