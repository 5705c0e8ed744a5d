package wasmhost

import (
	"bytes"
	"fmt"

	"github.com/wasmrouter/router/router"
)

// cacheEntries bounds the small caches of one instance. A filter that chooses
// among more targets pays for parsing and for three short strings each time.
const cacheEntries = 512

// targetCache remembers checked targets by the bytes of their op, so that a
// filter that routes to the same few targets costs no allocation.
type targetCache struct {
	byOp map[string]*cachedTarget
}

type cachedTarget struct {
	kindLen int
	target  router.Target
}

// target returns the target of a TARGET op: its key and value in one piece, and
// the key's length.
func (c *targetCache) target(text []byte, kindLen int) (*router.Target, error) {
	if t, ok := c.byOp[string(text)]; ok && t.kindLen == kindLen {
		return &t.target, nil
	}
	t, err := parseTarget(text[:kindLen], text[kindLen:])
	if err != nil {
		return nil, err
	}
	if c.byOp == nil || len(c.byOp) >= cacheEntries {
		c.byOp = make(map[string]*cachedTarget)
	}
	entry := &cachedTarget{kindLen, t}
	c.byOp[string(text)] = entry
	return &entry.target, nil
}

// parseTarget reads the key and the value of a TARGET op.
func parseTarget(kind, names []byte) (router.Target, error) {
	// A longer value cannot be valid; splitting it would only cost memory.
	if len(names) > 4*(maxShort+1) {
		return router.Target{}, fmt.Errorf("a target of %d bytes", len(names))
	}
	if !validText(bytes.ReplaceAll(names, []byte{0}, []byte{' '})) {
		return router.Target{}, fmt.Errorf("the target %q has control characters or is not UTF-8", cutText(string(names), 64))
	}
	parts := bytes.Split(names, []byte{0})
	part := func(i int) string {
		if i < len(parts) {
			return string(parts[i])
		}
		return ""
	}
	var t router.Target
	var least, most int
	switch string(kind) {
	case "queue":
		t, least, most = router.Target{Kind: router.TargetQueue, Queue: part(0)}, 1, 1
	case "exchange":
		t, least, most = router.Target{Kind: router.TargetExchange, Exchange: part(0), Topic: part(1)}, 2, 2
	case "topic":
		t, least, most = router.Target{Kind: router.TargetTopic, Topic: part(0), Exchange: part(1)}, 1, 2
	case "server":
		t, least, most = router.Target{Kind: router.TargetServer, Topic: part(0), Server: part(1), Exchange: part(2)}, 2, 3
	case "fanout":
		t, least, most = router.Target{Kind: router.TargetFanout, Topic: part(0)}, 1, 1
	case "notify":
		t, least, most = router.Target{Kind: router.TargetNotify, Topic: part(0), Priority: part(1), Exchange: part(2)}, 2, 3
	default:
		return t, fmt.Errorf("unknown kind of target %q", cutText(string(kind), 32))
	}
	if len(parts) < least || len(parts) > most {
		return t, fmt.Errorf("a target of kind %s has %d to %d names, not %d", kind, least, most, len(parts))
	}
	return t, t.Validate()
}

// interner shares the strings that come again and again.
type interner struct{ seen map[string]string }

func (n *interner) str(b []byte) string {
	if s, ok := n.seen[string(b)]; ok {
		return s
	}
	if n.seen == nil || len(n.seen) >= cacheEntries {
		n.seen = make(map[string]string)
	}
	s := string(b)
	n.seen[s] = s
	return s
}
