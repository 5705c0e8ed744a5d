package router

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// letterID returns a letter's id: the first 64 bits of the SHA-256 of a text in which
// everything has its type and length, of the original and of what the route wrote. What
// is set aside on a letter is part of the original, so that one that had to be renewed
// keeps its id. Among a million letters two different ones have the same id with a
// probability of 3 in 100 million.
func letterID(original *Envelope, headers map[string]any) string {
	h := digest{sha256.New()}
	p := &original.Properties
	for _, s := range [...]string{
		p.ContentType, p.ContentEncoding, p.CorrelationID, p.ReplyTo, p.Expiration,
		p.MessageID, p.Type, p.UserID, p.AppID,
	} {
		h.text(s)
	}
	h.number(uint64(p.DeliveryMode))
	h.number(uint64(p.Priority))
	h.time(p.Timestamp)
	h.table(original.headers, nil)
	h.table(headers, func(name string) bool {
		return strings.HasPrefix(name, HeaderPrefix) && name != HeaderCC && name != HeaderUserID && name != HeaderExpiration
	})
	h.bytes(original.Body)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// digest is a hash of values that have no other text in common.
type digest struct{ hash.Hash }

func (h digest) number(n uint64) { _, _ = h.Write(binary.BigEndian.AppendUint64(nil, n)) }

func (h digest) bytes(b []byte) {
	h.number(uint64(len(b)))
	_, _ = h.Write(b)
}

func (h digest) text(s string) { h.bytes([]byte(s)) }

// time takes what is left of a time on the wire.
func (h digest) time(t time.Time) {
	if t.IsZero() {
		h.number(math.MaxUint64)
		return
	}
	h.number(uint64(t.Unix())) // any of 64 bits
}

// table takes the entries that are wanted; nil wants all.
func (h digest) table(t map[string]any, wanted func(string) bool) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if wanted == nil || wanted(name) {
			h.text(name)
			h.value(t[name])
		}
	}
	h.number(math.MaxUint64) // no length of a name
}

func (h digest) value(v any) {
	kind := func(c byte) { _, _ = h.Write([]byte{c}) }
	switch v := v.(type) {
	case nil:
		kind('V')
	case bool:
		kind('t')
		n := uint64(0)
		if v {
			n = 1
		}
		h.number(n)
	case float32:
		kind('f')
		h.number(uint64(math.Float32bits(v)))
	case float64:
		kind('d')
		h.number(math.Float64bits(v))
	case Decimal:
		kind('D')
		h.number(uint64(v.Scale))
		h.number(uint64(v.Value))
	case string:
		kind('S')
		h.text(v)
	case []byte:
		kind('x')
		h.bytes(v)
	case time.Time:
		kind('T')
		h.time(v)
	case []any:
		kind('A')
		h.number(uint64(len(v)))
		for _, v := range v {
			h.value(v)
		}
	case map[string]any:
		kind('F')
		h.table(v, nil)
	default: // an integer, of which the type counts, too
		_, _ = fmt.Fprintf(h, "%T %v;", v, v)
	}
}
