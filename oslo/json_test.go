package oslo_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wasmrouter/router/oslo"
)

func TestMarshalWritesWhatPythonWrites(t *testing.T) {
	type inner struct {
		B int `json:"b"`
	}
	type outer struct {
		inner
		Ratio  float64 `json:"ratio"`
		Empty  string  `json:"empty,omitempty"`
		Hidden int     `json:"-"`
		Next   *outer
	}
	for want, v := range map[string]any{
		`null`:                         nil,
		`1`:                            1,
		`1.0`:                          1.0,
		`-0.0`:                         math.Copysign(0, -1),
		`0.1`:                          float32(0.1),
		`1000000000000000.0`:           1e15,
		`1e+16`:                        1e16,
		`0.0001`:                       1e-4,
		`1e-05`:                        1e-5,
		`1.5e+300`:                     1.5e300,
		`NaN`:                          math.NaN(),
		`-Infinity`:                    math.Inf(-1),
		`18446744073709551615`:         uint64(math.MaxUint64),
		`1208925819614629174706176`:    json.Number("1208925819614629174706176"),
		`"h\u00e9llo \"\\\n\u0001/"`:   "héllo \"\\\n\x01/",
		`"\u007f"`:                     "\x7f",
		`"\ud83d\ude00"`:               "😀",
		`"\udc80"`:                     "\x80",
		`"\ud800"`:                     "\xed\xa0\x80",
		`[1, [], "x"]`:                 []any{1, []string{}, "x"},
		`{"a": 1, "b": {}}`:            map[string]any{"b": map[string]int{}, "a": int8(1)},
		`"2026-01-02T03:04:05.000006"`: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		`{"b": 2, "ratio": 3.0, "Next": {"b": 0, "ratio": 0.0, "Next": null}}`: outer{inner: inner{2}, Ratio: 3, Hidden: 4, Next: &outer{}},
		`[NaN]`:                           oslo.Raw(" [NaN] "),
		`"raw"`:                           []byte("raw"),
		`{"-1": 2, "null": 4, "true": 3}`: map[any]int{-1: 2, true: 3, nil: 4},
		`{"10.0.0.1": null}`:              map[netip.Addr]any{netip.MustParseAddr("10.0.0.1"): nil},
		`"disk full"`:                     errors.New("disk full"),
		`1267650600228229401496703205376`: new(big.Int).Lsh(big.NewInt(1), 100),
	} {
		got, err := oslo.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("%#v is %s, %v; want %s", v, got, err, want)
		}
	}
	loop := map[string]any{}
	loop["self"] = loop
	for _, v := range []any{make(chan int), map[[1]int]int{{1}: 2}, []byte("\x80"), json.Number("1x"), oslo.Raw("{"), loop} {
		if got, err := oslo.Marshal(v); err == nil {
			t.Errorf("%T is %.40s", v, got)
		}
	}
}

func TestValuesSurviveTheWayThroughGo(t *testing.T) {
	text := `{"big": 1208925819614629174706176, "exp": 1e400, "float": 1.0, "list": [null, true, false, ""], ` +
		`"lone": "\udc80", "nan": [NaN, Infinity, -Infinity], "neg": -0, "pair": "\ud83d\ude00", "swapped": "\ude00\ud83d"}`
	v, err := oslo.Raw(text).Value()
	if err != nil {
		t.Fatal(err)
	}
	again, err := oslo.Marshal(v)
	if err != nil || string(again) != text {
		t.Errorf("%v\n got %s\nwant %s", err, again, text)
	}
	want := []any{math.NaN(), math.Inf(1), math.Inf(-1)}
	if diff := cmp.Diff(want, v.(map[string]any)["nan"], cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheScannerTakesWhatPythonTakes(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }
	for _, text := range []string{`0`, `-0.5E+7`, ` {} `, `[1,2]`, `"\u00FF\/"`, `NaN`, `-Infinity`, "\t[\r\n]", `{"a":{"a":[{}]}}`, deep(oslo.MaxDepth), objects(oslo.MaxDepth)} {
		if _, err := oslo.ParseRaw([]byte(text)); err != nil {
			t.Errorf("%.40s: %v", text, err)
		}
	}
	for _, text := range []string{
		``, ` `, `01`, `-`, `+1`, `.5`, `1.`, `1e`, `nul`, `nan`, `-NaN`, `[1,]`, `[1 2]`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1,}`, `{"a":1`, `"`, `"\x"`, `"\u12g4"`, `"\u1`,
		"\"\n\"", `[1]]`, `1 2`, `{"a":1}x`, "\ufeff1", deep(oslo.MaxDepth + 1), objects(oslo.MaxDepth + 1),
	} {
		if _, err := oslo.ParseRaw([]byte(text)); !errors.Is(err, oslo.ErrSyntax) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestAnUnchangedObjectKeepsItsTextAndAChangedOneItsOtherMembers(t *testing.T) {
	text := `{"a":1.0,"\u0062" : [1,2],  "c":NaN, "a":"\udc80"}`
	o, err := oslo.ParseObject([]byte(" " + text + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(o.Raw()); got != text {
		t.Errorf("unchanged: %s", got)
	}
	if v, _ := o.Get("a"); string(v) != `"\udc80"` {
		t.Errorf("the first of two: %s", v)
	}
	was := o.Clone()
	o.Set("c", oslo.String("new"))
	o.Set("d", oslo.Null)
	o.Delete("nothing")
	if got, want := string(o.Raw()), `{"a":1.0,"\u0062" : [1,2],  "c":"new", "a":"\udc80", "d": null}`; got != want {
		t.Errorf("changed:\n got %s\nwant %s", got, want)
	}
	o.Delete("a")
	if got, want := string(o.Raw()), `{"\u0062" : [1,2],  "c":"new", "d": null}`; got != want || o.Len() != 3 {
		t.Errorf("deleted: %s", got)
	}
	if got := string(was.Raw()); got != text {
		t.Errorf("the clone changed too: %s", got)
	}
	if _, err := oslo.ParseObject([]byte(`[1]`)); !errors.Is(err, oslo.ErrMessage) {
		t.Errorf("a list: %v", err)
	}
}

func TestDeepValuesAreReadInOnePass(t *testing.T) {
	// A reader that looked at each level's text again would need minutes.
	const depth = oslo.MaxDepth - 1
	text := strings.Repeat(`[{"a":`, depth/2) + `"` + strings.Repeat("x", 4<<20) + `"` + strings.Repeat("}]", depth/2)
	v, err := oslo.Raw(text).Value()
	if err != nil {
		t.Fatal(err)
	}
	for range depth / 2 {
		v = v.([]any)[0].(map[string]any)["a"]
	}
	if s, ok := v.(string); !ok || len(s) != 4<<20 {
		t.Errorf("at the bottom is %T", v)
	}
}
