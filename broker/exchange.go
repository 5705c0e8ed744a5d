package broker

import (
	"reflect"
	"slices"
	"strings"
)

// exchange passes messages on to the queues and exchanges bound to it. The
// vhost's lock protects it.
type exchange struct {
	name       string
	kind       string
	durable    bool
	autoDelete bool
	internal   bool
	args       table
	alternate  string

	bindings []*binding
	byKey    map[string][]*binding // of a direct exchange, and the words of a topic exchange
	patterns []*binding            // of a topic exchange, with wildcards
	inbound  []*binding            // from other exchanges to this one
}

// binding ties a queue or an exchange to an exchange.
type binding struct {
	from  *exchange
	queue *queue // one of the two is set
	to    *exchange
	key   string
	words []string // of a pattern
	args  table
}

func (b *binding) same(queue *queue, to *exchange, key string, args table) bool {
	return b.queue == queue && b.to == to && b.key == key && sameTable(b.args, args)
}

// sameTable compares tables by names and values, of whatever size integers are.
func sameTable(a, b table) bool {
	if len(a) != len(b) {
		return false
	}
	for _, f := range a {
		if !b.has(f.name) || !sameValue(f.value, b.get(f.name)) {
			return false
		}
	}
	return true
}

func sameValue(a, b any) bool {
	if i, ok := integer(a); ok {
		j, ok := integer(b)
		return ok && i == j
	}
	if t, ok := a.(table); ok {
		u, ok := b.(table)
		return ok && sameTable(t, u)
	}
	return reflect.DeepEqual(a, b)
}

func isPattern(key string) bool {
	return slices.ContainsFunc(words(key), func(w string) bool { return w == "*" || w == "#" })
}

// words returns what stands between a key's dots; an empty key has none.
func words(key string) []string {
	if key == "" {
		return nil
	}
	return strings.Split(key, ".")
}

func (x *exchange) bind(b *binding) {
	x.bindings = append(x.bindings, b)
	switch {
	case x.kind == "topic" && isPattern(b.key):
		b.words = words(b.key)
		x.patterns = append(x.patterns, b)
	case x.kind == "topic", x.kind == "direct":
		x.byKey[b.key] = append(x.byKey[b.key], b)
	}
	if b.to != nil {
		b.to.inbound = append(b.to.inbound, b)
	} else {
		b.queue.bindings = append(b.queue.bindings, b)
	}
}

func (x *exchange) unbind(b *binding) {
	gone := func(list []*binding) []*binding {
		return slices.DeleteFunc(list, func(other *binding) bool { return other == b })
	}
	x.bindings, x.patterns = gone(x.bindings), gone(x.patterns)
	if list := gone(x.byKey[b.key]); len(list) > 0 {
		x.byKey[b.key] = list
	} else {
		delete(x.byKey, b.key)
	}
	if b.to != nil {
		b.to.inbound = gone(b.to.inbound)
	} else {
		b.queue.bindings = gone(b.queue.bindings)
	}
}

// match calls found for each binding that a message goes by.
func (x *exchange) match(m *message, key string, found func(*binding)) {
	switch x.kind {
	case "fanout":
		for _, b := range x.bindings {
			found(b)
		}
	case "direct", "topic":
		for _, b := range x.byKey[key] {
			found(b)
		}
		if len(x.patterns) > 0 {
			of := words(key)
			for _, b := range x.patterns {
				if matchWords(b.words, of) {
					found(b)
				}
			}
		}
	case "headers":
		headers, _ := m.props.table() // one that is malformed matches nothing
		for _, b := range x.bindings {
			if matchHeaders(b.args, headers) {
				found(b)
			}
		}
	}
}

// matchWords reports whether a key's words match a pattern's: * is one word, # any
// number. Its time is bounded by the product of the two lengths.
func matchWords(pattern, words []string) bool {
	p, w, star, mark := 0, 0, -1, 0
	for w < len(words) {
		switch {
		case p < len(pattern) && pattern[p] == "#":
			star, mark = p, w
			p++
		case p < len(pattern) && (pattern[p] == "*" || pattern[p] == words[w]):
			p++
			w++
		case star >= 0:
			mark++
			p, w = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "#" {
		p++
	}
	return p == len(pattern)
}

// matchHeaders reports whether headers are as a binding's arguments say: all of
// them, or with x-match any one. Names with x- count only with the -with-x kinds;
// a value that is void asks for any value.
func matchHeaders(args, headers table) bool {
	kind, _ := args.get("x-match").(string)
	withX := strings.HasSuffix(kind, "-with-x")
	anyOf := strings.HasPrefix(kind, "any")
	for _, want := range args {
		if want.name == "x-match" || !withX && strings.HasPrefix(want.name, "x-") {
			continue
		}
		ok := headers.has(want.name) && (want.value == nil || sameValue(want.value, headers.get(want.name)))
		if ok && anyOf {
			return true
		}
		if !ok && !anyOf {
			return false
		}
	}
	return !anyOf
}

// route returns the queues that a message published to x goes to, each once.
func (v *vhost) route(x *exchange, m *message) []*queue {
	if x.name == "" && m.keys == nil { // by far the most common
		if q := v.queues[m.key]; q != nil {
			return []*queue{q}
		}
		return nil
	}
	r := routing{v: v, m: m, seen: map[*exchange]bool{}}
	r.pass(x)
	return r.queues
}

// routing collects the queues of one message.
type routing struct {
	v      *vhost
	m      *message
	seen   map[*exchange]bool
	queues []*queue
}

func (r *routing) add(q *queue) {
	if !slices.Contains(r.queues, q) {
		r.queues = append(r.queues, q)
	}
}

func (r *routing) pass(x *exchange) {
	if r.seen[x] {
		return
	}
	r.seen[x] = true
	found := false
	for _, key := range r.m.routingKeys() {
		if x.name == "" {
			if q := r.v.queues[key]; q != nil {
				found = true
				r.add(q)
			}
			continue
		}
		x.match(r.m, key, func(b *binding) {
			found = true
			if b.queue != nil {
				r.add(b.queue)
			} else {
				r.pass(b.to)
			}
		})
	}
	if !found && x.alternate != "" {
		if alternate := r.v.exchanges[x.alternate]; alternate != nil {
			r.pass(alternate)
		}
	}
}
