package wasmhost

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"
)

const (
	maxKVKey   = 255
	kvOverhead = 128 // what an entry costs besides its key and its value, in bytes
	kvPrice    = 50  // fuel of an entry that comes or goes
)

// kvCache is what the instances of one filter with the grant kv share: values by
// key, each for a time. The least recently used make room for new ones. It is
// safe for concurrent use.
type kvCache struct {
	size int64         // bytes that all entries may take
	ttl  time.Duration // the longest that an entry lives

	// The clock is the messages': how long after the first one the newest was
	// received. Differences of times that the broker connection stamps are
	// monotonic.
	first atomic.Pointer[time.Time]
	now   atomic.Int64 // ns

	mu      sync.Mutex // protects what follows
	entries map[string]*kvEntry
	ring    kvEntry // ring.next was used last, ring.prev has not been for longest
	bytes   int64

	hits, misses, evictions uint64
}

type kvEntry struct {
	key        string
	value      []byte
	dies       int64 // on the clock
	prev, next *kvEntry
}

func (e *kvEntry) size() int64 { return kvSize(len(e.key), len(e.value)) }

func kvSize(key, value int) int64 { return int64(key) + int64(value) + kvOverhead }

func newKVCache(size int64, ttl time.Duration) *kvCache {
	c := &kvCache{size: size, ttl: ttl, entries: make(map[string]*kvEntry)}
	c.ring.prev, c.ring.next = &c.ring, &c.ring
	return c
}

// see moves the clock on to when a message was received. It never goes back,
// whatever order the lanes see the messages in.
func (c *kvCache) see(received time.Time) {
	if received.IsZero() {
		return
	}
	first := c.first.Load()
	if first == nil {
		t := received
		c.first.CompareAndSwap(nil, &t)
		first = c.first.Load()
	}
	at := int64(received.Sub(*first))
	for now := c.now.Load(); at > now; now = c.now.Load() {
		if c.now.CompareAndSwap(now, at) {
			return
		}
	}
}

// fits reports whether an entry may be stored.
func (c *kvCache) fits(key []byte, value int) bool {
	return len(key) > 0 && len(key) <= maxKVKey && kvSize(len(key), value) <= c.size/4
}

// death is when an entry that is stored now dies.
func (c *kvCache) death(ttlMS int64) int64 {
	ttl := c.ttl
	if ttlMS > 0 && ttlMS <= int64(c.ttl/time.Millisecond) {
		ttl = time.Duration(ttlMS) * time.Millisecond
	}
	return c.now.Load() + int64(ttl)
}

// find returns the living entry, as the one used last, or nil. The caller holds
// the lock.
func (c *kvCache) find(key []byte) *kvEntry {
	if len(key) > maxKVKey { // it may be all of a guest's memory, which takes long to hash
		return nil
	}
	e := c.entries[string(key)]
	if e == nil {
		return nil
	}
	if e.dies <= c.now.Load() {
		c.remove(e)
		return nil
	}
	c.unlink(e)
	c.link(e)
	return e
}

// look is find that counts.
func (c *kvCache) look(key []byte) *kvEntry {
	e := c.find(key)
	if e != nil {
		c.hits++
	} else {
		c.misses++
	}
	return e
}

func (c *kvCache) link(e *kvEntry) {
	e.prev, e.next = &c.ring, c.ring.next
	e.prev.next, e.next.prev = e, e
}

func (c *kvCache) unlink(e *kvEntry) {
	e.prev.next, e.next.prev = e.next, e.prev
}

func (c *kvCache) remove(e *kvEntry) {
	c.unlink(e)
	delete(c.entries, e.key)
	c.bytes -= e.size()
}

// put stores value, in e if that is not nil, and returns how many entries had to
// go. The value fits; the caller holds the lock.
func (c *kvCache) put(e *kvEntry, key, value []byte, dies int64) int {
	if e == nil {
		e = &kvEntry{key: string(key)}
		c.entries[e.key] = e
		c.link(e)
	} else {
		c.bytes -= e.size()
	}
	if spare := cap(e.value) - len(value); spare < 0 || spare > len(value)+64 {
		e.value = make([]byte, 0, len(value))
	}
	e.value = append(e.value[:0], value...)
	e.dies = dies
	c.bytes += e.size()

	gone, now := 0, c.now.Load()
	for c.bytes > c.size { // e comes last, and takes no more than a quarter
		oldest := c.ring.prev
		c.remove(oldest)
		if gone++; oldest.dies > now {
			c.evictions++
		}
	}
	return gone
}

// get returns the length of an entry's value, which it copies to room if it fits.
func (c *kvCache) get(key, room []byte) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.look(key)
	if e == nil {
		return 0, false
	}
	if len(e.value) <= len(room) {
		copy(room, e.value)
	}
	return len(e.value), true
}

// set stores a value that fits and returns how many entries had to go.
func (c *kvCache) set(key, value []byte, ttlMS int64) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.put(c.find(key), key, value, c.death(ttlMS))
}

// swap stores a value that fits if the entry has the old one, or, with absent, if
// there is none, and returns how many entries had to go and whether it did.
func (c *kvCache) swap(key, old []byte, absent bool, value []byte, ttlMS int64) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.look(key)
	if absent != (e == nil) || e != nil && !bytes.Equal(e.value, old) {
		return 0, false
	}
	return c.put(e, key, value, c.death(ttlMS)), true
}

// add adds n to a counter whose key fits, and returns the sum and how many
// entries had to go.
func (c *kvCache) add(key []byte, n, ttlMS int64) (int64, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.look(key)
	if e != nil && len(e.value) == 8 {
		n += int64(binary.LittleEndian.Uint64(e.value))
		binary.LittleEndian.PutUint64(e.value, uint64(n))
		return n, 0
	}
	var value [8]byte
	binary.LittleEndian.PutUint64(value[:], uint64(n))
	return n, c.put(e, key, value[:], c.death(ttlMS))
}

// del removes an entry and reports whether there was one.
func (c *kvCache) del(key []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.find(key)
	if e != nil {
		c.remove(e)
	}
	return e != nil
}

// KVStat is the cache of a filter with the grant kv at one moment.
type KVStat struct {
	Entries   int    // those included that are past their time and still there
	Bytes     int64  // as they count against the limit
	Hits      uint64 // kv_get, kv_swap and kv_add of a key that was there
	Misses    uint64 // and of one that was not
	Evictions uint64 // living entries that made room for others
}

func (c *kvCache) stat() *KVStat {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &KVStat{Entries: len(c.entries), Bytes: c.bytes, Hits: c.hits, Misses: c.misses, Evictions: c.evictions}
}

// kvKey returns the key that a guest names.
func kvKey(g *guest, mem api.Memory, ptr, n uint64) []byte {
	key := guestView(mem, ptr, n)
	g.budget.charge(int64(min(len(key), maxKVKey) / bytesPerFuel))
	return key
}

func hostKVGet(g *guest, mem api.Memory, stack []uint64) {
	key := kvKey(g, mem, stack[0], stack[1])
	// What of the buffer lies in memory, because the value decides how much of
	// it is used.
	ptr, room := uint32(stack[2]), uint32(stack[3])
	inside := min(room, mem.Size()-min(ptr, mem.Size()))
	buf, _ := mem.Read(min(ptr, mem.Size()), inside)
	n, ok := g.filter.kv.get(key, buf)
	if !ok {
		stack[0] = math.MaxUint32
		return
	}
	if n <= int(room) {
		guestView(mem, uint64(ptr), uint64(n))
		g.budget.charge(int64(n / bytesPerFuel))
	}
	stack[0] = uint64(n)
}

func hostKVSet(g *guest, mem api.Memory, stack []uint64) {
	key, value := kvKey(g, mem, stack[0], stack[1]), guestView(mem, stack[2], stack[3])
	ttlMS := int64(stack[4])
	stack[0] = 0
	if kv := g.filter.kv; kv.fits(key, len(value)) {
		gone := kv.set(key, value, ttlMS)
		g.budget.charge(kvPrice*int64(1+gone) + int64(len(value)/bytesPerFuel))
		stack[0] = 1
		if ttlMS > int64(kv.ttl/time.Millisecond) {
			stack[0] = 2
		}
	}
}

func hostKVSwap(g *guest, mem api.Memory, stack []uint64) {
	key := kvKey(g, mem, stack[0], stack[1])
	absent := uint32(stack[3]) == math.MaxUint32
	var old []byte
	if !absent {
		old = guestView(mem, stack[2], stack[3])
	}
	value, ttlMS := guestView(mem, stack[4], stack[5]), int64(stack[6])
	stack[0] = 0
	if kv := g.filter.kv; kv.fits(key, len(value)) {
		gone, stored := kv.swap(key, old, absent, value, ttlMS)
		g.budget.charge(int64(len(value) / bytesPerFuel))
		if stored {
			g.budget.charge(kvPrice * int64(1+gone))
			stack[0] = 1
		}
	}
}

func hostKVAdd(g *guest, mem api.Memory, stack []uint64) {
	key, n := kvKey(g, mem, stack[0], stack[1]), int64(stack[2])
	if kv := g.filter.kv; kv.fits(key, 8) {
		var gone int
		n, gone = kv.add(key, n, int64(stack[3]))
		g.budget.charge(kvPrice * int64(gone))
	}
	stack[0] = uint64(n)
}

func hostKVDelete(g *guest, mem api.Memory, stack []uint64) {
	key := kvKey(g, mem, stack[0], stack[1])
	stack[0] = 0
	if g.filter.kv.del(key) {
		g.budget.charge(kvPrice)
		stack[0] = 1
	}
}
