package wasmhost

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// hostileModule is one entry of testdata/hostile.
type hostileModule struct {
	name    string
	module  []byte
	limits  Limits
	grants  Grants
	calls   int
	refused string // in the error of Load
	classes string // of which the first failure has one; empty is harmless
}

// hostileModules builds all modules of testdata/hostile.
func hostileModules(t *testing.T) []hostileModule {
	t.Helper()
	files, err := filepath.Glob("testdata/hostile/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all []hostileModule
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			m := readHostile(t, f.Name, string(f.Data))
			m.name = strings.TrimSuffix(filepath.Base(file), ".txtar") + "/" + f.Name
			all = append(all, m)
		}
	}
	return all
}

// readHostile reads the lines that begin with two semicolons and builds the rest.
func readHostile(t *testing.T, name, text string) hostileModule {
	t.Helper()
	m := hostileModule{limits: hostileLimits(), calls: 1}
	m.limits.StartTime = m.limits.Time
	verdict := false
	for {
		line, rest, _ := strings.Cut(text, "\n")
		note, ok := strings.CutPrefix(line, ";; ")
		if !ok {
			break
		}
		text = rest
		key, value, _ := strings.Cut(note, ": ")
		switch key {
		case "refused":
			m.refused, verdict = value, true
			if value == "" {
				m.refused = "unusable module"
			}
		case "stopped":
			m.classes, verdict = value, true
		case "harmless":
			verdict = true
		case "calls":
			m.calls, _ = strconv.Atoi(value)
		case "memory":
			m.limits.Memory = mebibytes(t, value)
		case "output":
			m.limits.Output = mebibytes(t, value)
		case "grants":
			m.grants = Grants{
				Clock: strings.Contains(value, "clock"), Random: strings.Contains(value, "random"),
				Metrics: strings.Contains(value, "metrics"), KV: strings.Contains(value, "kv"),
			}
		default:
			t.Fatalf("%s: what is %q?", name, note)
		}
	}
	if !verdict {
		t.Fatalf("%s does not say what must become of it", name)
	}
	if strings.HasSuffix(name, ".wat") {
		m.module = wat(t, text)
		return m
	}
	b := byteText{words: strings.Fields(text), good: func() []byte { return wat(t, goodModule) }}
	m.module = b.read(1)
	if b.err != nil {
		t.Fatalf("%s: %v", name, b.err)
	}
	return m
}

const goodModule = `(module
  ;; PRELUDE
  (func (export "router_decide") (param i32 i32) (result i64) (i64.const 0)))`

func mebibytes(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSuffix(text, "MiB"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 20
}

// byteText reads bytes written as text; malformed.txtar says how.
type byteText struct {
	words []string
	good  func() []byte
	err   error
}

func (b *byteText) next() string {
	if len(b.words) == 0 {
		b.err = fmt.Errorf("it ends too early")
		return "}"
	}
	w := b.words[0]
	b.words = b.words[1:]
	return w
}

func (b *byteText) number(base int) uint64 {
	n, err := strconv.ParseUint(b.next(), base, 64)
	if err != nil && b.err == nil {
		b.err = err
	}
	return n
}

func (b *byteText) block() []byte {
	if w := b.next(); w != "{" && b.err == nil {
		b.err = fmt.Errorf("%q in place of {", w)
	}
	return b.read(0)
}

// read reads to the closing brace, or with top 1 to the end.
func (b *byteText) read(top int) []byte {
	var out []byte
	for b.err == nil && (top == 0 || len(b.words) > 0) {
		switch w := b.next(); {
		case w == "}":
			return out
		case w == "header":
			out = append(out, "\x00asm\x01\x00\x00\x00"...)
		case w == "good":
			out = append(out, b.good()...)
		case w == "leb":
			out = appendLEB(out, b.number(10))
		case w == "noise":
			n, seed := b.number(10), b.number(10)
			r := rand.New(rand.NewPCG(seed, seed))
			for range n {
				out = append(out, byte(r.Uint32()))
			}
		case w == "repeat":
			n := b.number(10)
			part := b.block()
			for range n {
				out = append(out, part...)
			}
		case w == "section":
			id := b.number(16)
			part := b.block()
			out = append(appendLEB(append(out, byte(id)), uint64(len(part))), part...)
		case w == "sized":
			part := b.block()
			out = append(appendLEB(out, uint64(len(part))), part...)
		case w[0] == '"':
			out = append(out, strings.Trim(w, `"`)...)
		default:
			b.words = append([]string{w}, b.words...)
			out = append(out, byte(b.number(16)))
		}
	}
	return out
}

func appendLEB(b []byte, n uint64) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// rss returns the resident memory of the process and the most it has been, in
// bytes.
func rss(t *testing.T) (now, most int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			now = n << 10
		case "VmHWM:":
			most = n << 10
		}
	}
	return now, most
}
