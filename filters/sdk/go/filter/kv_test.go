package filter

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// The stand-in for unit tests of filters does what the router's cache does.
func TestKVStandIn(t *testing.T) {
	clear(kvEntries)
	is := func(key, want string) {
		t.Helper()
		for _, buf := range [][]byte{nil, make([]byte, 0, 100)} { // too small, and large enough
			if got, ok := KVGet(key, buf); !ok || string(got) != want {
				t.Errorf("%s is %q, %v, want %q", key, got, ok, want)
			}
		}
	}
	if _, ok := KVGet("a", nil); ok {
		t.Error("a is there before it is set")
	}
	value := []byte("one")
	if !KVSet("a", value, 0) || KVSet("", value, 0) || KVSet(strings.Repeat("k", 256), value, 0) {
		t.Error("set")
	}
	value[0] = 'x' // the cache has its own copy
	is("a", "one")
	if KVSwap("a", nil, nil, 0) || KVSwap("a", []byte("two"), nil, 0) || KVSwap("b", []byte{}, nil, 0) || KVSwap("", nil, nil, 0) {
		t.Error("swapped what it should not")
	}
	if !KVSwap("a", []byte("one"), []byte("two"), 0) || !KVSwap("b", nil, []byte{}, 0) {
		t.Error("did not swap what it should")
	}
	is("a", "two")
	is("b", "")
	if KVAdd("n", 5, 0) != 5 || KVAdd("n", -7, 0) != -2 || KVAdd("a", 1, 0) != 1 {
		t.Error("add")
	}
	if got, _ := KVGet("n", nil); !bytes.Equal(got, binary.LittleEndian.AppendUint64(nil, 1<<64-2)) {
		t.Errorf("the counter is % x", got)
	}
	if !KVDelete("a") || KVDelete("a") {
		t.Error("delete")
	}
}
