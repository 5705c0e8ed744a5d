//go:build !wasip1

package filter

import (
	"bytes"
	"encoding/binary"
)

// kvEntries stands in for the router's cache where a filter's logic is tested
// outside it: a cache of this process, in which nothing ends or makes room. Like
// a filter, it serves one goroutine at a time.
var kvEntries = map[string][]byte{}

func kvKey(key string) bool { return len(key) > 0 && len(key) <= 255 }

func kvGet(key string, buf []byte) int {
	value, ok := kvEntries[key]
	if !ok {
		return -1
	}
	if len(value) <= len(buf) {
		copy(buf, value)
	}
	return len(value)
}

func kvSet(key string, value []byte, _ int64) bool {
	if kvKey(key) {
		kvEntries[key] = bytes.Clone(value)
	}
	return kvKey(key)
}

func kvSwap(key string, old, value []byte, ttlMS int64) bool {
	have, ok := kvEntries[key]
	if ok == (old == nil) || ok && !bytes.Equal(have, old) {
		return false
	}
	return kvSet(key, value, ttlMS)
}

func kvAdd(key string, n, ttlMS int64) int64 {
	if have := kvEntries[key]; len(have) == 8 {
		n += int64(binary.LittleEndian.Uint64(have))
	}
	kvSet(key, binary.LittleEndian.AppendUint64(nil, uint64(n)), ttlMS)
	return n
}

func kvDelete(key string) bool {
	_, ok := kvEntries[key]
	delete(kvEntries, key)
	return ok
}
