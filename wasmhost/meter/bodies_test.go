package meter

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// instrumentShared is Instrument with chunks of that size and so many goroutines.
func instrumentShared(wasm []byte, limits Limits, size, workers int) (*Module, error) {
	limits, err := limits.resolve()
	if err != nil {
		return nil, err
	}
	m := newModule(wasm, limits)
	m.chunkSize, m.workers = size, workers
	return m.instrument()
}

// sharedDiffers says how what several goroutines do differs from what one does.
func sharedDiffers(wasm []byte, limits Limits, size, workers int) string {
	want, wantErr := instrumentShared(wasm, limits, size, 1)
	got, err := instrumentShared(wasm, limits, size, workers)
	switch {
	case fmt.Sprint(err) != fmt.Sprint(wantErr):
		return fmt.Sprintf("error %v, want %v", err, wantErr)
	case err != nil:
		return ""
	case !bytes.Equal(got.Bytes, want.Bytes):
		return "other bytes"
	}
	got.Bytes, want.Bytes = nil, nil // which cmp takes long for
	return cmp.Diff(want, got)
}

// bodies is a module of functions () -> () with these bodies, a memory and a tag.
func bodies(code ...[]byte) []byte {
	functions := make([][]byte, len(code))
	for i, c := range code {
		functions[i] = sized(append(append([]byte{0}, c...), opEnd))
	}
	return header().
		section(secType, vector([]byte{0x60, 0, 0})).
		section(secFunction, append(leb128(len(code)), make([]byte, len(code))...)).
		section(secMemory, vector([]byte{0, 1})).
		section(secTag, vector([]byte{0, 0})).
		section(secCode, vector(functions...))
}

// sharing are modules of which several goroutines meter a part each, and what may
// go wrong in one of the parts.
func sharing() map[string][]byte {
	many := func(code ...byte) [][]byte {
		list := make([][]byte, 200)
		for i := range list {
			list[i] = code
		}
		return list
	}
	but := func(list [][]byte, i int, code ...byte) [][]byte {
		list[i] = code
		return list
	}
	nops := repeat(50, 1)
	fill := []byte{opI32Const, 0, opI32Const, 0, opI32Const, 0, 0xfc, bulkMemoryFill, 0}
	cut := bodies(many(nops...)...)
	blocks := nest(1000)
	return map[string][]byte{
		"alike":                    bodies(many(nops...)...),
		"empty":                    bodies(many()...),
		"a helper at the end":      bodies(but(many(nops...), 199, fill...)...),
		"helpers, last one first":  bodies(but(but(many(nops...), 20, opThrow, 0), 180, fill...)...),
		"exceptions in the middle": bodies(but(many(nops...), 77, opThrow, 0)...),
		"references to exceptions": bodies(but(many(nops...), 77, opBlock, byte(ExnRef), opTryTable, blockEmpty, 1, 3, 0, opEnd, opReturn, opEnd, opThrowRef)...),
		"two errors":               bodies(but(but(many(nops...), 150, 0xff), 60, 0xfe)...),
		"an error, then a trap":    bodies(but(but(many(nops...), 100, 0xfe), 30, 0x0c, 9)...),
		"cut off":                  cut[:len(cut)-2000],
		"no size":                  append(cut[:len(cut)-2000:len(cut)-2000], repeat(2000, 0xff)...),
		"grows":                    bodies(many(append(repeat(100, 1), loops(1)...)...)...),
		"grows too much":           bodies(many(loops(60)...)...),
		"grows too much, late":     bodies(append(many(nops...), append(many(loops(200)...), many(loops(200)...)...)...)...),
		"takes too long":           bodies(many(blocks...)...),
		"takes too long and wrong": bodies(but(many(blocks...), 199, 0xff)...),
		"wrong and takes too long": bodies(but(many(blocks...), 2, 0xff)...),
		"large body":               bodies(but(many(nops...), 120, repeat(5000, 1)...)...),
	}
}

// Several goroutines write the same bytes, and make the same error, as one.
func TestSharingMakesNoDifference(t *testing.T) {
	modules := sharing()
	for _, c := range corpus {
		modules["corpus "+c.name] = wat(t, c.name)
	}
	for _, c := range exceptions {
		modules["exceptions "+c.name] = assemble(t, c.text)
	}
	for _, r := range refusals() {
		modules["refusal "+r.name] = r.wasm
	}
	for _, dir := range specDirs(t) {
		files, err := filepath.Glob(filepath.Join(dir, "*.wasm"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no modules in %s: %v", dir, err)
		}
		for _, file := range files {
			wasm, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			modules[file] = wasm
		}
	}
	limits := Limits{CompileTime: 200 * time.Millisecond, BodySize: 4000}
	for name, wasm := range modules {
		for _, size := range []int{1, 300, chunkSize} {
			for _, workers := range []int{2, 4} {
				if diff := sharedDiffers(wasm, limits, size, workers); diff != "" {
					t.Errorf("%s, %d workers, chunks of %d: %s", name, workers, size, diff)
				}
			}
		}
	}
}

// The same for a large module, whole and damaged in many places.
func TestSharingMakesNoDifferenceToGo(t *testing.T) {
	wasm := bytes.Clone(goGuest(t))
	if diff := sharedDiffers(wasm, Limits{}, chunkSize, 4); diff != "" {
		t.Error(diff)
	}
	m := newModule(wasm, DefaultLimits())
	m.read()
	code := m.span[secCode]
	for i := range 60 {
		at := code.from + (code.to-code.from)/60*i
		was := wasm[at]
		wasm[at] ^= byte(1 + i)
		if diff := sharedDiffers(wasm, Limits{}, chunkSize, 3); diff != "" {
			t.Errorf("byte %#x changed: %s", at, diff)
		}
		wasm[at] = was
	}
}

// Goroutines leave nothing of a module in good order to be done once more.
func TestAllChunksAreShared(t *testing.T) {
	for name, wasm := range map[string][]byte{"go": goGuest(t), "grows": sharing()["grows"]} {
		m := newModule(wasm, DefaultLimits())
		if name != "go" {
			m.chunkSize = 1000
		}
		m.read()
		r := &reader{b: wasm[:m.span[secCode].to], pos: m.span[secCode].from}
		chunks := m.cut(r, r.count("function bodies", 3, -1, ""))
		if len(chunks) < 5 {
			t.Errorf("%s: %d chunks", name, len(chunks))
		}
		m.share(chunks, 4)
		for i, ch := range chunks {
			if !ch.ok {
				t.Errorf("%s: chunk %d of %d is not done", name, i, len(chunks))
			}
		}
	}
}
