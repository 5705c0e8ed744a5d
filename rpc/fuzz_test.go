package rpc

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// fuzzArguments are of every kind of field.
type fuzzArguments struct {
	Name  string         `json:"name"`
	Count int8           `json:"count,omitempty"`
	Ratio *float64       `json:"ratio,omitempty"`
	List  []string       `json:"list,omitempty"`
	Table map[string]int `json:"table,omitempty"`
	Any   any            `json:"any,omitzero"`
	Raw   json.Number    `json:"number,omitempty"`
}

// FuzzArguments reads anything as the arguments of a method. What is read is what
// encoding/json reads, and what is refused is told as Python tells it.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{
		`{"name": "x", "count": -128, "ratio": 1e3, "list": ["a", null], "table": {"a": 1}, "any": [1], "number": 1}`, `{"name": null}`, `{"count": 1}`,
		`{"name": "x", "other": 1}`, `{"name": "x", "count": 300}`, `{"name": "\ud800"}`, `[1]`, ``, `{"name": 1, "ratio": NaN}`, `{"Name": "x"}`, `{"name": "a", "name": "b"}`,
	} {
		f.Add([]byte(s))
	}
	read, err := argumentsReader(reflect.TypeFor[fuzzArguments]())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		in := &Incoming{Request: Request{Method: "m", Payload: payload}}
		values, err := read("m", in)
		if err != nil {
			remote := failureOf(err)
			if remote.Class != "TypeError" || !strings.HasPrefix(remote.Message, "m()") {
				t.Errorf("%q: %#v", payload, remote)
			}
			return
		}
		got := values[0].Interface().(fuzzArguments)
		if !json.Valid(payload) { // Python's NaN, and no arguments at all
			return
		}
		var want fuzzArguments
		if err := json.Unmarshal(payload, &want); err != nil {
			t.Fatalf("%q became %+v, and encoding/json says %v", payload, got, err)
		}
		if strings.Contains(string(payload), "\\") || got.Any != nil {
			return // halves of pairs are kept, and numbers of any are
		}
		if diff := cmp.Diff(want, got); diff != "" && strings.ToValidUTF8(string(payload), "") == string(payload) {
			t.Errorf("%q (-encoding/json +here):\n%s", payload, diff)
		}
	})
}

// FuzzFailureTravels: a failure is told in either format and comes out as it was,
// and a reply that is none is never taken for one.
func FuzzFailureTravels(f *testing.F) {
	f.Add("ValueError", "builtins", "no", []byte(`{"a": 1}`))
	f.Add("", "", "\x1b", []byte("text"))
	f.Add("E_Remote", "m", "\xff", []byte(`null`))
	f.Fuzz(func(t *testing.T, class, module, message string, payload []byte) {
		for _, format := range []Format{Plain{}, Oslo{}} {
			failure := Answer{Failure: &RemoteError{Class: class, Module: module, Message: message}}
			env, err := format.EncodeAnswer(failure, Ticket{ID: "id"})
			if err != nil {
				continue
			}
			id, back, err := format.DecodeAnswer(&env)
			if err != nil || id != "id" || back.Failure == nil || back.KeepAlive {
				t.Fatalf("%T: %+v came back as %q, %+v, %v", format, failure.Failure, id, back, err)
			}
			plain := module != "exceptions" && !strings.HasSuffix(class, "_Remote") && strings.ToValidUTF8(class+module+message, "") == class+module+message
			if got := back.Failure; plain && (got.Class != class || got.Module != module || got.Message != message) {
				t.Errorf("%T: %+v came back as %+v", format, failure.Failure, got)
			}
			env, err = format.EncodeAnswer(Answer{Reply: Reply{Payload: payload}}, Ticket{ID: "id"})
			if err != nil {
				continue
			}
			if _, back, err = format.DecodeAnswer(&env); err != nil || back.Failure != nil || back.KeepAlive {
				t.Errorf("%T: %q came back as %+v, %v", format, payload, back, err)
			}
		}
		// Whoever may set headers on a reply may tell a failure; anything in them is
		// text or nothing.
		env := router.NewEnvelope(map[string]any{HeaderErrorClass: payload, HeaderErrorModule: int64(1), HeaderErrorMessage: message}, payload)
		env.CorrelationID = "id"
		if _, back, err := (Plain{}).DecodeAnswer(&env); err != nil || back.Failure == nil || back.Failure.Class != "" || back.Failure.Message != message {
			t.Errorf("odd headers became %+v, %v", back.Failure, err)
		}
	})
}
