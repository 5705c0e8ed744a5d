package filters_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/wasmrouter/router/router"
)

// converters returns functions that pass a body through the filter in either
// direction.
func converters(t testing.TB) (toMsgpack, toJSON func([]byte) ([]byte, error)) {
	t.Helper()
	return through(t, "messagepack", map[string]any{"decode": "json-to-msgpack", "encode": "msgpack-to-json"})
}

// reference decodes MessagePack with another implementation.
func reference(b []byte) (any, error) {
	d := msgpack.NewDecoder(bytes.NewReader(b))
	v, err := d.DecodeInterface()
	if err != nil {
		return nil, err
	}
	if _, err := d.DecodeInterface(); err == nil {
		return nil, errors.New("trailing bytes")
	}
	return v, nil
}

// numbers gives the numbers of a decoded JSON document the types int64, uint64
// and float64.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		s := v.String()
		if strings.ContainsAny(s, ".eE") || s == "-0" {
			f, _ := strconv.ParseFloat(s, 64)
			return f
		}
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
		u, _ := strconv.ParseUint(s, 10, 64)
		return u
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

// same tells 0.0 from -0.0.
var same = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
}

// signed widens numbers to int64, float64, and uint64 for what needs it.
func signed(v any) any {
	switch v := v.(type) {
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v)
		}
	case int8, int16, int32:
		return reflect.ValueOf(v).Int()
	case uint8, uint16, uint32:
		return int64(reflect.ValueOf(v).Uint())
	case float32:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = signed(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = signed(v[k])
		}
	}
	return v
}

func decodeAll(doc []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err == nil {
		return nil, errors.New("trailing text")
	}
	return v, nil
}

// acceptable says whether encoding/json and the filter should agree that doc is
// JSON: the filter also refuses bad UTF-8, lone surrogates, integers that do not
// fit, doubles that overflow and deep nesting.
func acceptable(doc []byte, fits func(integer string) bool) bool {
	if !json.Valid(doc) || !utf8.Valid(doc) {
		return false
	}
	if bytes.Contains(doc, []byte(`\u`)) {
		var v any
		_ = json.Unmarshal(doc, &v)
		if strings.ContainsRune(fmt.Sprint(v), utf8.RuneError) {
			return false
		}
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	depth := 0
	for {
		tok, err := d.Token()
		if err != nil {
			return true
		}
		switch tok := tok.(type) {
		case json.Delim:
			if tok == '[' || tok == '{' {
				if depth++; depth > 128 {
					return false
				}
			} else {
				depth--
			}
		case json.Number:
			s := tok.String()
			_, err := strconv.ParseFloat(s, 64)
			if integer := !strings.ContainsAny(s, ".eE"); integer && !fits(s) || !integer && err != nil {
				return false
			}
		}
	}
}

// fits64 says whether an integer has at most 64 bits.
func fits64(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	_, err2 := strconv.ParseUint(text, 10, 64)
	return err == nil || err2 == nil
}

func FuzzToMessagePack(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `null`, ` [1 , 2.5e3] `, `{"a":{"b":[true,false,null,"é\u00e9\ud83d\ude00"]}}`, `-0`, `-0.0`, `1e-400`, `18446744073709551615`,
		`9223372036854775808`, `{"a":1,"a":2}`, `"\ud800"`, `[1,]`, `01`, `1e999`, "\"\xff\"", `"\u0000"`, `tru`, `[[[[]]]]`,
		"[" + strings.Repeat("[],", 40) + "1]", `{"k":"` + strings.Repeat(`\n`, 70) + `"}`,
		`[` + strings.Repeat(`{"a":[`+strings.Repeat("0,", 20)+`0]},`, 20) + `0]`, `2.2250738585072011e-308`,
		`[[` + strings.Repeat("0,", 70000) + `0],{"a":[` + strings.Repeat("0,", 20) + `0]}]`, `0.000001234e5`,
	} {
		f.Add([]byte(s))
	}
	toMsgpack, toJSON := converters(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		packed, err := toMsgpack(doc)
		if ok := acceptable(doc, fits64); ok != (err == nil) {
			t.Fatalf("%q: acceptable = %v, filter: %v", doc, ok, err)
		}
		if err != nil {
			return
		}
		v, err := decodeAll(doc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := reference(packed)
		if err != nil {
			t.Fatalf("%q became % x: %v", doc, packed, err)
		}
		if diff := cmp.Diff(signed(numbers(v)), signed(got), same); diff != "" {
			t.Fatalf("%q (-json +msgpack):\n%s", doc, diff)
		}
		back, err := toJSON(packed)
		if err != nil {
			t.Fatalf("%q does not come back: %v", doc, err)
		}
		again, err := toMsgpack(back)
		if err != nil || !bytes.Equal(again, packed) {
			t.Fatalf("%q came back as %q, which packs to % x, not % x: %v", doc, back, again, packed, err)
		}
	})
}

// plain says whether JSON has all of the value's types.
func plain(v any) bool {
	switch v := v.(type) {
	case nil, bool, int64, uint64, float64, string:
		return true
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !plain(e) })
	case map[string]any:
		for _, e := range v {
			if !plain(e) {
				return false
			}
		}
		return true
	}
	return false
}

func FuzzToJSON(f *testing.F) {
	for _, v := range []any{
		nil, true, -1, 1 << 40, uint64(math.MaxUint64), 0.1, float32(0.1), "text", []byte("bytes"),
		[]any{1, "a", nil},
		map[string]any{"a": []any{1.5}},
		strings.Repeat("x", 300), make([]int, 70000),
	} {
		b, err := msgpack.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0x97, 0xd0, 0xff, 0xd1, 0xff, 0xff, 0xd2, 0xff, 0xff, 0xff, 0xff, 0xd1, 0, 5, 0xcd, 0, 1, 0xca, 0x3f, 0xc0, 0, 0, 0xe1})
	f.Add([]byte{0xc1})
	f.Add([]byte{0xdf, 0xff, 0xff, 0xff, 0xff})
	toMsgpack, toJSON := converters(f)
	f.Fuzz(func(t *testing.T, packed []byte) {
		doc, err := toJSON(packed)
		if err != nil {
			var fe *router.FilterError
			if !errors.As(err, &fe) || fe.Class != "error" {
				t.Fatalf("% x: %v", packed, err)
			}
			return
		}
		if !json.Valid(doc) || !utf8.Valid(doc) {
			t.Fatalf("% x became %q, which is not JSON", packed, doc)
		}
		if want, err := reference(packed); err == nil && plain(signed(want)) {
			got, err := decodeAll(doc)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(signed(want), signed(numbers(got)), same); diff != "" {
				t.Fatalf("% x became %q (-msgpack +json):\n%s", packed, doc, diff)
			}
		}
		// Once more there and back gives the same text, but for byte strings
		// and keys, which have become strings for good.
		again, err := toMsgpack(doc)
		if err != nil {
			t.Fatalf("% x became %q, which is refused: %v", packed, doc, err)
		}
		doc2, err := toJSON(again)
		if err != nil || !bytes.Equal(doc, doc2) {
			t.Fatalf("%q came back as %q: %v", doc, doc2, err)
		}
	})
}

// Every double must survive the way to JSON and back, in few digits.
func TestDoublesSurvive(t *testing.T) {
	toMsgpack, toJSON := converters(t)
	rng := rand.New(rand.NewPCG(1, 2))
	values := []float64{
		0, math.Copysign(0, -1), 1, 0.1, 1e21, 1e22, 1e23, 123456789012345678, 9007199254740993, 5e-324, math.MaxFloat64,
		2.2250738585072014e-308, 2.225073858507201e-308, 1e-5, 1e-6, 1e-7, 4.35, 0.3, 2.0 / 3, 1 << 53, 1<<53 + 2, 999999999999999.9,
	}
	for range 1500 {
		values = append(values,
			math.Float64frombits(rng.Uint64()),
			rng.NormFloat64(),
			math.Round(rng.Float64()*1e6)/100,
			math.Ldexp(float64(1+rng.IntN(3)), rng.IntN(2000)-1000))
	}
	for len(values) > 0 {
		batch := values[:min(100, len(values))]
		values = values[len(batch):]
		for i, v := range batch {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				batch[i] = 0
			}
		}
		packed, err := msgpack.Marshal(batch)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := toJSON(packed)
		if err != nil {
			t.Fatal(err)
		}
		texts := strings.Split(strings.Trim(string(doc), "[]"), ",")
		for i, v := range batch {
			got, err := strconv.ParseFloat(texts[i], 64)
			if err != nil || math.Float64bits(got) != math.Float64bits(v) {
				t.Errorf("%v was written as %s", v, texts[i])
			}
			if n, fewest := digits(texts[i]), digits(strconv.FormatFloat(v, 'e', -1, 64)); n > fewest+1 || n > fewest && !isPowerOfTwo(v) {
				t.Errorf("%s has %d digits; %d are enough", texts[i], n, fewest)
			}
		}
		again, err := toMsgpack(doc)
		if err != nil || !bytes.Equal(again, packed) {
			t.Fatalf("%s packs to other doubles: %v", doc, err)
		}
	}
}

// isPowerOfTwo says whether the gap to the neighbour below is half as wide as
// that above; a digit more than the fewest is tolerated there.
func isPowerOfTwo(v float64) bool { return math.Float64bits(v)<<12 == 0 }

// digits counts the significant digits of a number.
func digits(s string) int {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "-"), "e")
	return len(strings.Trim(strings.Replace(s, ".", "", 1), "0"))
}

// Numbers written with many digits must become the nearest double.
func TestDecimalsRoundToTheNearest(t *testing.T) {
	toMsgpack, _ := converters(t)
	rng := rand.New(rand.NewPCG(3, 4))
	texts := []string{
		"9007199254740993.0", "9007199254740992.999999999999999999999999", "1.00000000000000011102230246251565404236316680908203125",
		"1.00000000000000011102230246251565404236316680908203124", "1.00000000000000011102230246251565404236316680908203126",
		"2.4703282292062327208e-324", "2.4703282292062328e-324", "1.7976931348623158e308", "0." + strings.Repeat("0", 400) + "1",
		"1" + strings.Repeat("0", 300) + ".5", "1.5" + strings.Repeat("0", 1000) + "1", "0.000e-99999999999", "0e99999999999", "1e-99999999999",
		"9007199254740993." + strings.Repeat("0", 900) + "1", "4503599627370497.5" + strings.Repeat("0", 900) + "1",
	}
	for range 1500 {
		s := strconv.FormatUint(rng.Uint64()>>rng.IntN(60), 10) + "." + strconv.FormatUint(rng.Uint64(), 10)
		if rng.IntN(2) == 0 {
			s += "e" + strconv.Itoa(rng.IntN(600)-320)
		}
		texts = append(texts, s)
	}
	for _, s := range texts {
		want, err := strconv.ParseFloat(s, 64)
		packed, fail := toMsgpack([]byte(s))
		if err != nil {
			if fail == nil {
				t.Errorf("%s: %v, but the filter gives % x", s, err, packed)
			}
			continue
		}
		if fail != nil {
			t.Errorf("%s: %v", s, fail)
			continue
		}
		if got, err := reference(packed); err != nil || got != any(want) {
			t.Errorf("%s became %v, not %v: %v", s, got, want, err)
		}
	}
}
