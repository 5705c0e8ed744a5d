package filters_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wasmrouter/router/router"
)

// validator returns a function that passes a body through the filter: the
// reason for which it was rejected, empty when it was not.
func validator(t testing.TB, schema string) (func(body string) string, error) {
	t.Helper()
	f, err := loadFilter(t, "json-schema", stock(t, "json-schema"), map[string]any{"schema_json": schema})
	if err != nil {
		return nil, err
	}
	return func(body string) string {
		env, d := router.NewEnvelope(nil, []byte(body)), router.Decision{}
		if err := f.Run(context.Background(), router.Unpack, &env, &d); err != nil {
			return err.Error()
		}
		return d.Reason
	}, nil
}

// parts are schemas that the differential test puts together, bodies what it
// holds against them.
var (
	parts = []string{
		`{"type":"object"}`, `{"type":"array"}`, `{"type":["string","null"]}`, `{"type":"integer"}`, `{"type":"number"}`, `{"type":"boolean"}`,
		`true`, `false`, `{}`, `{"const":1}`, `{"const":{"a":[1,2.0],"b":null}}`, `{"const":"é"}`, `{"enum":["a",1,null,[],{"a":1}]}`, `{"enum":[]}`,
		`{"minimum":1}`, `{"maximum":1e2}`, `{"exclusiveMinimum":-0.5}`, `{"exclusiveMaximum":100}`, `{"minimum":12345678901234567890123}`,
		`{"multipleOf":0.01}`, `{"multipleOf":3}`, `{"multipleOf":2.5e3}`, `{"multipleOf":1e-8}`, `{"multipleOf":128}`,
		`{"minLength":2}`, `{"maxLength":3}`, `{"maxLength":1.0}`, `{"pattern":"^[a-c]+$"}`, `{"pattern":"b|é"}`, `{"pattern":"^(a|b{2,3}c?)*$"}`,
		`{"pattern":"\\d{3}-\\w"}`, `{"pattern":"^.{2}$"}`, `{"pattern":"[^\\x00-\\x7f]"}`, `{"pattern":"^$"}`,
		`{"minItems":1}`, `{"maxItems":2}`, `{"uniqueItems":true}`, `{"uniqueItems":false}`, `{"items":{"type":"integer"}}`,
		`{"prefixItems":[{"type":"string"},{"minimum":2}]}`, `{"prefixItems":[{"const":1}],"items":false}`, `{"contains":{"const":1}}`,
		`{"contains":{"type":"integer"},"minContains":2,"maxContains":3}`, `{"contains":{"const":9},"minContains":0}`, `{"contains":true,"maxContains":1}`,
		`{"minProperties":1}`, `{"maxProperties":1}`, `{"required":["a"]}`, `{"required":["b","c"]}`, `{"required":[]}`,
		`{"properties":{"a":{"type":"integer"},"b":{"minLength":1}}}`, `{"properties":{"a":true},"additionalProperties":false}`,
		`{"patternProperties":{"^a":{"type":"integer"},"b$":false}}`, `{"properties":{"a":{}},"patternProperties":{"^b":{}},"additionalProperties":{"type":"null"}}`,
		`{"propertyNames":{"maxLength":1}}`, `{"propertyNames":{"pattern":"^[ab]"}}`, `{"dependentRequired":{"a":["b"]}}`,
		`{"dependentSchemas":{"a":{"required":["c"]},"b":{"minProperties":2}}}`, `{"if":{"type":"integer"},"then":{"minimum":3},"else":{"type":"array"}}`,
		`{"if":{"required":["a"]},"then":{"required":["b"]}}`, `{"if":false,"else":{"type":"string"}}`, `{"then":false,"else":false}`,
		`{"$ref":"#/$defs/list"}`, `{"$ref":"#/$defs/tree"}`, `{"$ref":"#/$defs/a~1b"}`, `{"$ref":"#/$defs/list/anyOf/0"}`,
		// The two names have the same hash.
		`{"properties":{"costarring":{"type":"integer"},"liquid":{"type":"string"}},"additionalProperties":false}`, `{"required":["liquid"]}`,
		`{"title":"x","description":"y","default":1,"examples":[1],"deprecated":true,"$comment":"z","format":"email","readOnly":true}`,
	}
	bodies = []string{
		`null`, `true`, `false`, `0`, `-0`, `1`, `1.0`, `3`, `-3`, `12`, `99`, `100`, `1e2`, `0.1`, `19.99`, `1.005`, `3.0000000001`, `12345678901234567890122`,
		`12345678901234567890123.0`, `1e300`, `7500`, `2.5e3`, `1e-8`, `1.5e-8`, `-0.5`, `256`, `384.0`, `-1E+2`,
		`""`, `"a"`, `"ab"`, `"abc"`, `"abbbbc"`, `"é"`, `"e\u0301"`, `"\u00e9"`, `"😀"`, `"\ud83d\ude00x"`, `"bbc"`, `"bbbca"`, `"123-x"`, `"12-x"`, `"a\nb"`, `"cd"`,
		`[]`, `[1]`, `[1,1]`, `[1,1.0]`, `["a",2]`, `["a",1]`, `[1,2,3]`, `[{"a":1,"b":2},{"b":2,"a":1.0}]`, `[[1],[1,1],[1]]`, `[null,false,0,""]`, `["a","\u0061"]`, `[9]`,
		`{}`, `{"a":1}`, `{"a":"x"}`, `{"\u0061":1}`, `{"a":1,"b":""}`, `{"a":1,"b":"x"}`, `{"b":"x","c":null}`, `{"a":[1,2],"b":null}`, `{"ab":1}`, `{"aa":"x","cb":1}`,
		`{"c":null,"b":1}`, `{"value":1,"children":[{"value":2,"children":[]},{"value":"x"}]}`, `{"value":1,"children":[{"value":2}]}`, `{"a":1,"b":2,"c":3}`,
		`{"costarring":1,"liquid":"x"}`, `{"liquid":1}`, `{"costarring":1}`, `["costarring","liquid"]`,
		`["costarring","liquid","costarring"]`, `["liquid","costarring","costarring"]`, `["costarring","costarring","liquid"]`,
		`["liquid","liquid","costarring"]`, `["liquid","costarring","liquid"]`, `["costarring","liquid","liquid"]`,
	}
	defs = `"$defs":{"list":{"anyOf":[{"type":"array","items":{"$ref":"#/$defs/list"}},{"type":"integer"}]},` +
		`"tree":{"type":"object","required":["value"],"properties":{"value":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#/$defs/tree"}}}},` +
		`"a/b":{"type":["integer","array"]}}`
)

// compose puts parts together.
func compose(rng *rand.Rand, depth int) string {
	part := func() string { return compose(rng, depth-1) }
	if depth == 0 {
		return parts[rng.IntN(len(parts))]
	}
	switch rng.IntN(8) {
	case 0:
		return fmt.Sprintf(`{"allOf":[%s,%s]}`, part(), part())
	case 1:
		return fmt.Sprintf(`{"anyOf":[%s,%s]}`, part(), part())
	case 2:
		return fmt.Sprintf(`{"oneOf":[%s,%s,%s]}`, part(), part(), part())
	case 3:
		return fmt.Sprintf(`{"not":%s}`, part())
	case 4:
		return fmt.Sprintf(`{"if":%s,"then":%s,"else":%s}`, part(), part(), part())
	case 5:
		return fmt.Sprintf(`{"properties":{"a":%s,"b":%s},"items":%s}`, part(), part(), part())
	case 6:
		return fmt.Sprintf(`{"contains":%s,"additionalProperties":%s}`, part(), part())
	}
	return parts[rng.IntN(len(parts))]
}

// The filter and another implementation agree on what matches.
func TestJSONSchemasAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	schemas := append([]string{}, parts...)
	for range 250 {
		schemas = append(schemas, compose(rng, 1+rng.IntN(3)))
	}
	for _, part := range schemas {
		s := fmt.Sprintf(`{%s,"allOf":[%s]}`, defs, part)
		check, err := validator(t, s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		want := compiled(t, []byte(s))
		for _, body := range bodies {
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			reason := check(body)
			if err := want.Validate(v); (err == nil) != (reason == "") {
				t.Errorf("%s: %s: the filter says %q, want %v", part, body, reason, err)
			}
		}
	}
}

// Patterns match what Go's regular expressions match.
func TestPatternsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	atoms := []string{`a`, `b`, `.`, `[ab]`, `[^a]`, `\d`, `\w`, `(a|b)`, `(?:ab)`, `(|a)`, `(?:(a*b?)*)`, `é`, `[a-cé-ü]`, `\.`, `(^a)`, `(b$)`, `[\d-]`, `\x61`}
	times := []string{``, ``, ``, `*`, `+`, `?`, `{2}`, `{1,2}`, `{0,1}`, `{2,}`, `*?`, `+?`, `{0}`}
	alphabet := []rune("ab1c.é-\n")
	for range 400 {
		var b strings.Builder
		for range 1 + rng.IntN(4) {
			b.WriteString([]string{"", "", "", "", "^", "$", "|"}[rng.IntN(7)])
			b.WriteString(atoms[rng.IntN(len(atoms))])
			b.WriteString(times[rng.IntN(len(times))])
		}
		text := b.String()
		want := regexp.MustCompile(text)
		encoded, _ := json.Marshal(map[string]any{"pattern": text})
		check, err := validator(t, string(encoded))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for range 40 {
			s := make([]rune, rng.IntN(7))
			for i := range s {
				s[i] = alphabet[rng.IntN(len(alphabet))]
			}
			body, _ := json.Marshal(string(s))
			if got := check(string(body)) == ""; got != want.MatchString(string(s)) {
				t.Errorf("%s matches %q: %v, want %v", text, string(s), got, !got)
			}
		}
	}
}

// However deep schema and body are, the filter answers or says that it cannot.
func TestDeepSchemas(t *testing.T) {
	wrap := `{"$ref":"#/$defs/x"}`
	for range 40 {
		wrap = `{"allOf":[` + wrap + `]}`
	}
	for name, schema := range map[string]string{
		"ref":        `{"items":{"$ref":"#"},"properties":{"a":{"$ref":"#"}}}`,
		"additional": `{"items":{"anyOf":[{"$ref":"#"}]},"additionalProperties":{"oneOf":[{"$ref":"#"}]},"patternProperties":{"^b":{"$ref":"#"}}}`,
		"all":        `{"$ref":"#/$defs/x","$defs":{"x":{"items":` + wrap + `}}}`,
		"contains":   `{"if":{"contains":{"$ref":"#"}},"then":true,"dependentSchemas":{"a":{"not":{"properties":{"a":{"not":{"$ref":"#"}}}}}}}`,
	} {
		f, err := loadFilter(t, "json-schema", stock(t, "json-schema"), map[string]any{"schema_json": schema})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, body := range []string{strings.Repeat("[", 127) + "[]" + strings.Repeat("]", 127), strings.Repeat(`{"a":`, 127) + "{}" + strings.Repeat("}", 127), `[[1]]`} {
			env, d := router.NewEnvelope(nil, []byte(body)), router.Decision{}
			err := f.Run(context.Background(), router.Unpack, &env, &d)
			if err != nil && !strings.Contains(err.Error(), "too-deep") {
				t.Errorf("%s: %.10s: %v", name, body, err)
			}
		}
	}
}

// Whatever the body is, the filter and the other implementation agree, and a
// body is refused as no JSON when it is none.
func FuzzJSONSchema(f *testing.F) {
	for _, body := range bodies {
		f.Add([]byte(body))
	}
	for _, body := range []string{`{"a":}`, `[1,]`, `"\ud800"`, "\"\xff\"", `{"a":1,"a":"x"}`, ``, `1e999`, `-1e-300`, `[0.0,-0,0e9]`} {
		f.Add([]byte(body))
	}
	all := fmt.Sprintf(`{%s,"anyOf":[{"$ref":"#/$defs/list"},{"$ref":"#/$defs/tree"},{"uniqueItems":true,"minItems":2},{"multipleOf":0.03},`+
		`{"pattern":"^(a|b{2,3}c?)+$"},{"additionalProperties":false,"patternProperties":{"^a":{"minimum":1.5}}}]}`, defs)
	check, err := validator(f, all)
	if err != nil {
		f.Fatal(err)
	}
	want := compiled(f, []byte(all))
	anyInteger := func(string) bool { return true }
	// The other implementation writes out all zeros of a number.
	hugeExponent := regexp.MustCompile(`[eE][-+]?[0-9]{4}`)
	f.Fuzz(func(t *testing.T, body []byte) {
		reason := check(string(body))
		if !acceptable(body, anyInteger) || !distinct(body) || hugeExponent.Match(body) {
			if !json.Valid(body) && !strings.HasPrefix(reason, "not JSON: ") {
				t.Fatalf("%q is no JSON, but: %q", body, reason)
			}
			return
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := want.Validate(v); (err == nil) != (reason == "") {
			t.Fatalf("%q: the filter says %q, want %v", body, reason, err)
		}
	})
}
