package filter

// KVGet returns the value of an entry in the cache that all instances of the
// filter share, and whether there is one. The value is written to buf and, if
// its capacity is too small, to a new slice.
//
// The KV functions need the grant kv: a module that calls one is refused without
// it. Keys have 1 to 255 bytes. An entry lives for ttlMS milliseconds, at most
// and, with 0, by default the limit kv_ttl; any may be gone earlier, to make
// room. Each operation is atomic among the lanes.
func KVGet(key string, buf []byte) ([]byte, bool) {
	for {
		n := kvGet(key, buf[:cap(buf)])
		if n < 0 {
			return nil, false
		}
		if n <= cap(buf) {
			return buf[:n], true
		}
		Garbage(n)
		buf = make([]byte, n) // another lane may store a longer value now
	}
}

// KVSet stores a value. It returns false if key or value are too long.
func KVSet(key string, value []byte, ttlMS int64) bool { return kvSet(key, value, ttlMS) }

// KVSwap stores a value if the entry's is old or, with old nil, if there is no
// entry. It returns whether it did.
func KVSwap(key string, old, value []byte, ttlMS int64) bool { return kvSwap(key, old, value, ttlMS) }

// KVAdd adds n to a counter, 8 bytes little endian, and returns the sum. One that
// is not there starts at 0 and lives for ttlMS from then on, however often it is
// added to.
func KVAdd(key string, n, ttlMS int64) int64 { return kvAdd(key, n, ttlMS) }

// KVDelete removes an entry and returns whether there was one.
func KVDelete(key string) bool { return kvDelete(key) }
