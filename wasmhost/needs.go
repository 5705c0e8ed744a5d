package wasmhost

import (
	"slices"
	"strings"
)

// readNeeds returns what the filter says it reads, or everything if it says nothing.
func (g *guest) readNeeds() (needs, error) {
	fn := findFunction(g.mod, "router_needs")
	if fn.Function == nil {
		return needsAll, nil
	}
	if err := g.call(&fn); err != nil {
		return needs{}, err
	}
	v := g.stack[0]
	n := needs{body: v&1 != 0, headers: v&2 != 0, props: v&4 != 0, stateless: v&256 != 0}
	if v&8 != 0 {
		n.prefix = uint32(v >> 32)
		v &= 1<<32 - 1
	}
	if v&^(1|2|4|8|256) != 0 || n.body && v&8 != 0 {
		return needs{}, invalidf("%#x has bits that mean nothing together", g.stack[0])
	}
	return n, nil
}

// maxNames bounds how many headers a filter may name.
const maxNames = 64

// readNames returns the names of the headers that the filter reads, or nothing
// if it named none.
func (g *guest) readNames() ([]headerName, error) {
	fn := findFunction(g.mod, "router_needs_headers")
	if fn.Function == nil {
		return nil, nil
	}
	if err := g.call(&fn); err != nil {
		return nil, err
	}
	if g.stack[0] == 0 {
		return nil, nil
	}
	ptr, n := uint32(g.stack[0]>>32), uint32(g.stack[0])
	if n > maxNames*(maxShort+1) {
		return nil, invalidf("%d bytes of names; %d names of %d bytes are allowed", n, maxNames, maxShort)
	}
	view, ok := g.mem.Read(ptr, n)
	if !ok {
		return nil, invalidf("the names at %#x, length %d, are outside the memory", ptr, n)
	}
	names := strings.Split(string(view), "\x00")
	if len(names) > maxNames {
		return nil, invalidf("%d names; %d are allowed", len(names), maxNames)
	}
	slices.Sort(names)
	var keys []headerName
	for _, name := range slices.Compact(names) {
		if len(name) == 0 || len(name) > maxShort {
			return nil, invalidf("a header name of %d bytes; 1 to %d are allowed", len(name), maxShort)
		}
		keys = append(keys, hashed(name))
	}
	return keys, nil
}
