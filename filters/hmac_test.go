package filters_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wasmrouter/router/router"
)

const buildSHA256 = "clang --target=wasm32 -std=c11 -O2 -mbulk-memory -ffreestanding -Wall -Wextra -Werror -I sdk/c -I shared -c shared/testdata/sha256.c -o $OUT.o && wasm-ld --no-entry --stack-first -o $OUT $OUT.o"

// sumsOf returns what the C code makes of data that comes in two pieces.
func sumsOf(t *testing.T, f router.Filter, key, data []byte, cut int) (sum, mac string) {
	t.Helper()
	env, d := router.NewEnvelope(map[string]any{"key": key, "cut": int64(cut)}, data), router.Decision{}
	if err := f.Run(context.Background(), router.Decide, &env, &d); err != nil {
		t.Fatal(err)
	}
	s, _ := env.Header("sum")
	m, _ := env.Header("mac")
	return hex.EncodeToString(s.([]byte)), hex.EncodeToString(m.([]byte))
}

func TestSHA256OfTheStockFilters(t *testing.T) {
	f, err := loadFilter(t, "sha256", built(t, buildSHA256), nil)
	if err != nil {
		t.Fatal(err)
	}
	rep := bytes.Repeat
	for i, c := range []struct {
		key, data []byte
		mac       string
	}{ // RFC 4231
		{rep([]byte{0x0b}, 20), []byte("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{[]byte("Jefe"), []byte("what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{rep([]byte{0xaa}, 20), rep([]byte{0xdd}, 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{[]byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"), rep([]byte{0xcd}, 50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{rep([]byte{0x0c}, 20), []byte("Test With Truncation"), "a3b6167473100ee06e0c796c2955552bfa6f7c0a6a8aef8b93f860aab0cd20c5"},
		{rep([]byte{0xaa}, 131), []byte("Test Using Larger Than Block-Size Key - Hash Key First"), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{rep([]byte{0xaa}, 131), []byte("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm."), "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
	} {
		if _, mac := sumsOf(t, f, c.key, c.data, len(c.data)/2); mac != c.mac {
			t.Errorf("RFC 4231, test case %d: %s, want %s", i+1, mac, c.mac)
		}
	}
	for i, c := range []struct{ data, sum string }{ // FIPS 180-2, appendix B
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{strings.Repeat("a", 1e6), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
	} {
		if sum, _ := sumsOf(t, f, []byte("k"), []byte(c.data), 1); sum != c.sum {
			t.Errorf("FIPS 180, B.%d: %s, want %s", i+1, sum, c.sum)
		}
	}
	// Every length around the padding, cut everywhere that matters, with keys
	// around the length of a block.
	data := []byte(strings.Repeat("The quick brown fox. ", 10))
	for n := range 140 {
		key := data[:n]
		want := sha256.Sum256(data[:n])
		h := hmac.New(sha256.New, key)
		h.Write(data[:n])
		for _, cut := range []int{0, 1, n / 2, n} {
			if cut > n {
				continue
			}
			sum, mac := sumsOf(t, f, key, data[:n], cut)
			if sum != hex.EncodeToString(want[:]) || mac != hex.EncodeToString(h.Sum(nil)) {
				t.Fatalf("%d bytes cut at %d: %s and %s", n, cut, sum, mac)
			}
		}
	}
}

// signature is what the README of hmac says, written down once more.
func signature(secret string, at time.Time, headers []string, env *router.Envelope) string {
	h := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(h, "%d.", at.Unix())
	for _, name := range headers {
		v, ok := env.Header(name)
		if !ok {
			fmt.Fprintf(h, "%s:-\n", name)
			continue
		}
		text := fmt.Sprint(v)
		if b, ok := v.([]byte); ok {
			text = string(b)
		}
		fmt.Fprintf(h, "%s:%d:%s\n", name, len(text), text)
	}
	h.Write(env.Body)
	return hex.EncodeToString(h.Sum(nil))
}

// What one filter signs the other takes, and nothing else.
func TestHMACThereAndBack(t *testing.T) {
	const secret = "0123456789abcdef"
	headers := []any{"a", "b", "c"}
	names := []string{"a", "b", "c"}
	load := func(mode string) router.Filter {
		t.Helper()
		f, err := loadFilter(t, "hmac", stock(t, "hmac"), map[string]any{
			"mode": mode, "keys": map[string]any{"k": secret}, "headers": headers, "timestamp": true,
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	sign, verify := load("sign"), load("verify")
	at := time.Unix(1767225600, 123)
	value := rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 3).Draw(t, "type") {
		case 0:
			return rapid.Int64().Draw(t, "integer")
		case 1:
			return rapid.Bool().Draw(t, "boolean")
		case 2:
			return rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		}
		return rapid.String().Draw(t, "text")
	})
	rapid.Check(t, func(t *rapid.T) {
		env := router.NewEnvelope(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), value, 0, 4).Draw(t, "headers"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"))
		env.Origin.Received = at
		want := signature(secret, at, names, &env)
		run := func(f router.Filter, stage router.Stage, env *router.Envelope) router.Decision {
			var d router.Decision
			if err := f.Run(context.Background(), stage, env, &d); err != nil {
				t.Fatal(err)
			}
			return d
		}
		run(sign, router.Encode, &env)
		if got, _ := env.Header("signature"); got != want {
			t.Fatalf("signature %v, want %s", got, want)
		}
		good := env.Clone()
		if d := run(verify, router.Decode, &good); d.Action != router.Undecided {
			t.Fatalf("refused: %s", d.Reason)
		}
		// Anything that is changed afterwards shows.
		bad := env.Clone()
		what := rapid.SampledFrom([]string{"body", "header", "new", "signature", "time"}).Draw(t, "change")
		switch what {
		case "body":
			bad.Body = append(bytes.Clone(env.Body), 0)
			if n := len(env.Body); n > 0 && rapid.Bool().Draw(t, "flip") {
				bad.Body = bytes.Clone(env.Body)
				bad.Body[rapid.IntRange(0, n-1).Draw(t, "at")] ^= 1
			}
		case "header":
			name := rapid.SampledFrom(names).Draw(t, "name")
			if _, ok := env.Header(name); ok {
				bad.DelHeader(name)
			} else {
				bad.SetHeader(name, "")
			}
		case "new":
			bad.SetHeader(rapid.SampledFrom(names).Draw(t, "name"), "something that was not there")
		case "signature":
			b := []byte(want)
			i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			b[i] = "0123456789abcdef1"[strings.IndexByte("0123456789abcdef", b[i])+1]
			bad.SetHeader("signature", string(b))
		case "time":
			bad.SetHeader("signature-time", at.Unix()+1)
		}
		if d := run(verify, router.Decode, &bad); d.Action != router.Reject {
			t.Fatalf("%s changed: %s", what, cmp.Diff(env.Headers(), bad.Headers()))
		}
	})
}
