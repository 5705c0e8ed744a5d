package filters_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

// cborConverters returns functions that pass a body through the filter in
// either direction.
func cborConverters(t testing.TB, config map[string]any) (toCBOR, toJSON func([]byte) ([]byte, error)) {
	t.Helper()
	config["decode"], config["encode"] = "json-to-cbor", "cbor-to-json"
	return through(t, "cbor", config)
}

// through returns functions that pass a body through a filter's stages decode
// and encode.
func through(t testing.TB, name string, config map[string]any) (decode, encode func([]byte) ([]byte, error)) {
	t.Helper()
	f, err := loadFilter(t, name, stock(t, name), config)
	if err != nil {
		t.Fatal(err)
	}
	in := func(s router.Stage) func([]byte) ([]byte, error) {
		return func(body []byte) ([]byte, error) {
			env := router.NewEnvelope(nil, body)
			var d router.Decision
			err := f.Run(context.Background(), s, &env, &d)
			return env.Body, err
		}
	}
	return in(router.Decode), in(router.Encode)
}

// The examples of RFC 8949, appendix A: the bytes, what they are in JSON, and
// whether JSON turns into the same bytes again.
var appendixA = []struct {
	hex, json string
	back      bool
}{
	{"00", `0`, true},
	{"01", `1`, true},
	{"0a", `10`, true},
	{"17", `23`, true},
	{"1818", `24`, true},
	{"1819", `25`, true},
	{"1864", `100`, true},
	{"1903e8", `1000`, true},
	{"1a000f4240", `1000000`, true},
	{"1b000000e8d4a51000", `1000000000000`, true},
	{"1bffffffffffffffff", `18446744073709551615`, true},
	{"c249010000000000000000", `18446744073709551616`, true},
	{"3bffffffffffffffff", `-18446744073709551616`, true},
	{"c349010000000000000000", `-18446744073709551617`, true},
	{"20", `-1`, true},
	{"29", `-10`, true},
	{"3863", `-100`, true},
	{"3903e7", `-1000`, true},
	{"f90000", `0.0`, true},
	{"f98000", `-0.0`, true},
	{"f93c00", `1.0`, true},
	{"fb3ff199999999999a", `1.1`, true},
	{"f93e00", `1.5`, true},
	{"f97bff", `65504.0`, true},
	{"fa47c35000", `100000.0`, true},
	{"fa7f7fffff", `3.4028234663852886e38`, true},
	{"fb7e37e43c8800759c", `1e300`, true},
	{"f90001", `5.9604644775390625e-8`, true},
	{"f90400", `0.00006103515625`, true},
	{"f9c400", `-4.0`, true},
	{"fbc010666666666666", `-4.1`, true},
	{"f97c00", ``, false},
	{"f97e00", ``, false},
	{"f9fc00", ``, false},
	{"fa7f800000", ``, false},
	{"fa7fc00000", ``, false},
	{"faff800000", ``, false},
	{"fb7ff0000000000000", ``, false},
	{"fb7ff8000000000000", ``, false},
	{"fbfff0000000000000", ``, false},
	{"f4", `false`, true},
	{"f5", `true`, true},
	{"f6", `null`, true},
	{"f7", `null`, false},
	{"f0", ``, false},
	{"f8ff", ``, false},
	{"c074323031332d30332d32315432303a30343a30305a", `"2013-03-21T20:04:00Z"`, false},
	{"c11a514b67b0", `"2013-03-21T20:04:00Z"`, false},
	{"c1fb41d452d9ec200000", `"2013-03-21T20:04:00.5Z"`, false},
	{"d74401020304", `"01020304"`, false},
	{"d818456449455446", `"ZElFVEY"`, false},
	{"d82076687474703a2f2f7777772e6578616d706c652e636f6d", `"http://www.example.com"`, false},
	{"40", `""`, false},
	{"4401020304", `"AQIDBA"`, false},
	{"60", `""`, true},
	{"6161", `"a"`, true},
	{"6449455446", `"IETF"`, true},
	{"62225c", `"\"\\"`, true},
	{"62c3bc", `"ü"`, true},
	{"63e6b0b4", `"水"`, true},
	{"64f0908591", `"𐅑"`, true},
	{"80", `[]`, true},
	{"83010203", `[1,2,3]`, true},
	{"8301820203820405", `[1,[2,3],[4,5]]`, true},
	{"98190102030405060708090a0b0c0d0e0f101112131415161718181819", `[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]`, true},
	{"a0", `{}`, true},
	{"a201020304", `{"1":2,"3":4}`, false},
	{"a26161016162820203", `{"a":1,"b":[2,3]}`, true},
	{"826161a161626163", `["a",{"b":"c"}]`, true},
	{"a56161614161626142616361436164614461656145", `{"a":"A","b":"B","c":"C","d":"D","e":"E"}`, true},
	{"5f42010243030405ff", `"AQIDBAU"`, false},
	{"7f657374726561646d696e67ff", `"streaming"`, false},
	{"9fff", `[]`, false},
	{"9f018202039f0405ffff", `[1,[2,3],[4,5]]`, false},
	{"9f01820203820405ff", `[1,[2,3],[4,5]]`, false},
	{"83018202039f0405ff", `[1,[2,3],[4,5]]`, false},
	{"83019f0203ff820405", `[1,[2,3],[4,5]]`, false},
	{"9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", `[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]`, false},
	{"bf61610161629f0203ffff", `{"a":1,"b":[2,3]}`, false},
	{"826161bf61626163ff", `["a",{"b":"c"}]`, false},
	{"bf6346756ef563416d7421ff", `{"Fun":true,"Amt":-2}`, false},
}

func TestExamplesOfRFC8949(t *testing.T) {
	toCBOR, toJSON := cborConverters(t, map[string]any{"keys": "text"})
	for _, v := range appendixA {
		packed, err := hex.DecodeString(v.hex)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := toJSON(packed)
		if v.json == "" {
			if err == nil {
				t.Errorf("%s became %s, and has no form in JSON", v.hex, doc)
			}
			continue
		}
		if err != nil || string(doc) != v.json {
			t.Errorf("%s became %s, want %s: %v", v.hex, doc, v.json, err)
			continue
		}
		again, err := toCBOR(doc)
		if err != nil || bytes.Equal(again, packed) != v.back {
			t.Errorf("%s became %x, want %s (%v): %v", v.json, again, v.hex, v.back, err)
		}
	}
}

// cborReference decodes CBOR with another implementation.
func cborReference(t testing.TB) func([]byte) (any, error) {
	t.Helper()
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 300, MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32,
		TimeTag: cbor.DecTagRequired, BigIntDec: cbor.BigIntDecodeValue,
	}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	return func(b []byte) (any, error) {
		var v any
		err := mode.Unmarshal(b, &v)
		return v, err
	}
}

// comparable has one form for each value: integers are decimal text behind i,
// floats are their bits behind f. ok is false when JSON has no such type.
func comparable(v any) (form any, ok bool) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, true
	case uint64:
		return "i" + strconv.FormatUint(v, 10), true
	case int64:
		return "i" + strconv.FormatInt(v, 10), true
	case big.Int:
		return "i" + v.String(), true
	case float64:
		return fmt.Sprintf("f%x", math.Float64bits(v)), !math.IsNaN(v) && !math.IsInf(v, 0)
	case json.Number:
		s := v.String()
		if strings.ContainsAny(s, ".eE") || s == "-0" {
			f, err := strconv.ParseFloat(s, 64)
			return fmt.Sprintf("f%x", math.Float64bits(f)), err == nil
		}
		return "i" + s, true
	case []any:
		all := make([]any, len(v))
		for i := range v {
			if all[i], ok = comparable(v[i]); !ok {
				return nil, false
			}
		}
		return all, true
	case map[any]any:
		all := map[string]any{}
		for k, e := range v {
			name, isText := k.(string)
			if !isText {
				return nil, false
			}
			if all[name], ok = comparable(e); !ok {
				return nil, false
			}
		}
		return all, true
	case map[string]any:
		all := map[string]any{}
		for k, e := range v {
			if all[k], ok = comparable(e); !ok {
				return nil, false
			}
		}
		return all, true
	}
	return nil, false
}

// distinct says whether no object in doc has a name twice.
func distinct(doc []byte) bool {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var walk func() bool
	walk = func() bool {
		tok, err := d.Token()
		if err != nil {
			return false
		}
		switch tok {
		case json.Delim('['):
			for d.More() {
				if !walk() {
					return false
				}
			}
			_, err = d.Token()
		case json.Delim('{'):
			seen := map[json.Token]bool{}
			for d.More() {
				name, err := d.Token()
				if err != nil || seen[name] || !walk() {
					return false
				}
				seen[name] = true
			}
			_, err = d.Token()
		}
		return err == nil
	}
	return walk()
}

// fitsBignum says whether an integer has at most 4096 bits.
func fitsBignum(text string) bool {
	n, ok := new(big.Int).SetString(text, 10)
	return ok && n.BitLen() <= 4096
}

func FuzzToCBOR(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `null`, ` [1 , 2.5e3] `, `{"a":{"b":[true,false,null,"é\u00e9\ud83d\ude00"]}}`, `-0`, `-0.0`, `1e-400`,
		`[18446744073709551615,18446744073709551616,-18446744073709551616,-18446744073709551617,9223372036854775808]`,
		`{"a":1,"a":2}`, `{"b":1,"aa":2,"a":3}`, `{"b":1,"c":2,"\u0062":3}`, `"\ud800"`, `[1,]`, `01`, `1e999`, "\"\xff\"", `tru`, `[[[[]]]]`,
		`{"k":"` + strings.Repeat(`\n`, 70) + `"}`, `[` + strings.Repeat(`{"a":[`+strings.Repeat("0,", 20)+`0]},`, 30) + `0]`,
		`[[` + strings.Repeat("0,", 70000) + `0],{"a":[` + strings.Repeat("0,", 30) + `0]}]`, `[1.0,1.5,65504.0,65505.0,5.9604644775390625e-8,1e-8,3.4e38,0.1]`,
		"1" + strings.Repeat("0", 1233), "-1" + strings.Repeat("0", 1232), "2" + strings.Repeat("0", 1233),
	} {
		f.Add([]byte(s))
	}
	toCBOR, toJSON := cborConverters(f, map[string]any{})
	toSorted, _ := cborConverters(f, map[string]any{"sort_keys": true})
	decode := cborReference(f)
	canonical, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		packed, err := toCBOR(doc)
		if ok := acceptable(doc, fitsBignum) && distinct(doc); ok != (err == nil) {
			t.Fatalf("%q: acceptable = %v, filter: %v", doc, ok, err)
		}
		if err != nil {
			return
		}
		v, err := decodeAll(doc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(packed)
		if err != nil {
			t.Fatalf("%q became % x: %v", doc, packed, err)
		}
		want, _ := comparable(v)
		have, _ := comparable(got)
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("%q (-json +cbor):\n%s", doc, diff)
		}
		back, err := toJSON(packed)
		if err != nil {
			t.Fatalf("%q does not come back: %v", doc, err)
		}
		again, err := toCBOR(back)
		if err != nil || !bytes.Equal(again, packed) {
			t.Fatalf("%q came back as %q, which packs to % x, not % x: %v", doc, back, again, packed, err)
		}
		sorted, err := toSorted(doc)
		if err != nil {
			t.Fatal(err)
		}
		if best, err := canonical.Marshal(got); err != nil || !bytes.Equal(sorted, best) {
			t.Fatalf("%q became % x, want % x: %v", doc, sorted, best, err)
		}
	})
}

func FuzzCBORToJSON(f *testing.F) {
	for _, v := range appendixA {
		packed, err := hex.DecodeString(v.hex)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	for _, s := range []string{
		"c1fb41d452d9ec199999", "c13a77f25d80", "c5820102", "d9d9f7a16161d6420102", "c25f41014100ff", "a2616101616102", "a201006131f4", "7f61c361bcff",
		"1c", "1f", "ff", "5f6161ff", "5bffffffffffffffff", "9bffffffffffffffff", "bf6161ff", "f800", "f81f", "d87f00", "a1810000", "a1f97e0000",
		"c2590200" + strings.Repeat("ff", 512), "c3590200" + strings.Repeat("ff", 512),
	} {
		packed, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	toCBOR, toJSON := cborConverters(f, map[string]any{})
	_, toAnyJSON := cborConverters(f, map[string]any{"keys": "text", "tags": "drop", "not_finite": "null"})
	decode := cborReference(f)
	f.Fuzz(func(t *testing.T, packed []byte) {
		for _, convert := range []func([]byte) ([]byte, error){toJSON, toAnyJSON} {
			doc, err := convert(packed)
			if err != nil {
				var fe *router.FilterError
				if !errors.As(err, &fe) || fe.Class != "error" {
					t.Fatalf("% x: %v", packed, err)
				}
				continue
			}
			if !json.Valid(doc) || !utf8.Valid(doc) || !distinct(doc) {
				t.Fatalf("% x became %q, which is not JSON with distinct names", packed, doc)
			}
			if err := cbor.Wellformed(packed); err != nil && !strings.Contains(err.Error(), "nested") {
				t.Fatalf("% x became %q: %v", packed, doc, err)
			}
			// Once more there and back gives the same text: what has become a
			// string stays one.
			again, err := toCBOR(doc)
			if err != nil {
				t.Fatalf("% x became %q, which is refused: %v", packed, doc, err)
			}
			if doc2, err := toJSON(again); err != nil || !bytes.Equal(doc, doc2) {
				t.Fatalf("%q came back as %q: %v", doc, doc2, err)
			}
		}
		v, err := decode(packed)
		want, plain := comparable(v)
		if err != nil || !plain {
			return
		}
		doc, err := toJSON(packed)
		if err != nil {
			// Nothing that JSON has is refused, but for what lies beyond the limits.
			if !strings.Contains(err.Error(), "nested too deep") && !strings.Contains(err.Error(), "4096 bits") && !strings.Contains(err.Error(), "tag") {
				t.Fatalf("% x is %v, but: %v", packed, v, err)
			}
			return
		}
		got, err := decodeAll(doc)
		if err != nil {
			t.Fatal(err)
		}
		have, _ := comparable(got)
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("% x became %q (-cbor +json):\n%s", packed, doc, diff)
		}
	})
}

// Floats take the shortest form that keeps the value.
func TestFloatsTakeTheShortestForm(t *testing.T) {
	toCBOR, toJSON := cborConverters(t, map[string]any{})
	best, err := cbor.EncOptions{ShortestFloat: cbor.ShortestFloat16}.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	var values []float64
	for half := range 0x7c00 {
		values = append(values, math.Ldexp(float64(half&0x3ff|min(half>>10, 1)<<10), max(half>>10, 1)-25))
	}
	for range 5000 {
		values = append(values, float64(math.Float32frombits(rng.Uint32())), math.Float64frombits(rng.Uint64()),
			math.Ldexp(float64(1+2*rng.IntN(1024)), rng.IntN(60)-40))
	}
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			values[i] = 0
		}
	}
	var doc []byte
	for i, v := range values {
		doc = append(doc, "[,"[min(i, 1)])
		doc = strconv.AppendFloat(doc, v, 'e', -1, 64)
	}
	packed, err := toCBOR(append(doc, ']'))
	if err != nil {
		t.Fatal(err)
	}
	want, err := best.Marshal(values)
	if err != nil || !bytes.Equal(packed, want) {
		t.Errorf("some float is not in its shortest form: %v", err)
	}
	back, err := toJSON(want)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range strings.Split(strings.Trim(string(back), "[]"), ",") {
		if v, err := strconv.ParseFloat(s, 64); err != nil || math.Float64bits(v) != math.Float64bits(values[i]) {
			t.Fatalf("%v came back as %s", values[i], s)
		}
	}
}
