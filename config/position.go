package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep tables and arrays may be nested, and how many parts
// a dotted key may have. The TOML library has no bound of its own and recurses.
const maxDepth = 64

// node is where one key, or one element of an array, was written.
type node struct {
	offset int              // of the value, or of the name in a table's header
	named  bool             // written itself, not only implied by a longer name
	keys   map[string]*node // of a table
	items  []*node          // of an array
}

// at returns the node of a key below n, or of an index if n is an array.
func (n *node) at(key string) *node {
	if n == nil {
		return nil
	}
	if n.items != nil {
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(n.items) {
			return n.items[i]
		}
		return nil
	}
	return n.keys[key]
}

func (n *node) make(key string, offset int) *node {
	if n.keys == nil {
		n.keys = map[string]*node{}
	}
	child := n.keys[key]
	if child == nil {
		child = &node{offset: offset}
		n.keys[key] = child
	}
	return child
}

// twofold returns a node that is an array and a table at once, which TOML does
// not allow, or nil.
func (n *node) twofold() *node {
	if n.items != nil && len(n.keys) > 0 {
		return n
	}
	for _, key := range sortedKeys(n.keys) {
		if bad := n.keys[key].twofold(); bad != nil {
			return bad
		}
	}
	for _, item := range n.items {
		if bad := item.twofold(); bad != nil {
			return bad
		}
	}
	return nil
}

// scanner finds the positions of all keys and array elements of a TOML text
// that the TOML library accepts. The library itself knows neither the position
// of a table nor those of an array's elements. On a text that it would refuse
// the scanner ends somewhere, with some of the positions.
type scanner struct {
	text    string
	i       int
	tooDeep int // offset of what is nested too deep, or -1
}

func scan(text string) (root *node, tooDeep int) {
	s := scanner{text: text, tooDeep: -1}
	root = &node{named: true}
	table := root
	for s.tooDeep < 0 {
		s.space(true)
		if s.i >= len(s.text) {
			break
		}
		start := s.i
		if s.text[s.i] == '[' {
			table = s.header(root)
		} else {
			s.pair(table, 1)
		}
		if s.i == start {
			s.i++
		}
	}
	return root, s.tooDeep
}

// space skips blanks, and with lines set also line ends and comments.
func (s *scanner) space(lines bool) {
	for s.i < len(s.text) {
		switch c := s.text[s.i]; {
		case c == ' ' || c == '\t':
		case lines && (c == '\n' || c == '\r'):
		case lines && c == '#':
			if end := strings.IndexByte(s.text[s.i:], '\n'); end >= 0 {
				s.i += end
			} else {
				s.i = len(s.text) - 1
			}
		default:
			return
		}
		s.i++
	}
}

func (s *scanner) header(root *node) *node {
	s.i++
	array := s.skip('[')
	parts := s.key()
	if s.skip(']') && array {
		s.skip(']')
	}
	table := root
	for n, p := range parts {
		table = table.make(p.name, p.offset)
		if n < len(parts)-1 {
			if len(table.items) > 0 {
				table = table.items[len(table.items)-1]
			}
			continue
		}
		if !table.named {
			table.offset, table.named = p.offset, true
		}
		if array {
			item := &node{offset: p.offset, named: true}
			table.items = append(table.items, item)
			table = item
		}
	}
	return table
}

func (s *scanner) skip(c byte) bool {
	if s.i < len(s.text) && s.text[s.i] == c {
		s.i++
		return true
	}
	return false
}

// pair reads a key, dotted or not, and its value into table.
func (s *scanner) pair(table *node, depth int) {
	for _, p := range s.key() {
		table = table.make(p.name, p.offset)
	}
	s.space(false)
	if !s.skip('=') {
		return
	}
	s.space(false)
	table.named = true
	s.value(table, depth)
}

type part struct {
	name   string
	offset int
}

func (s *scanner) key() (parts []part) {
	for {
		s.space(false)
		p := part{offset: s.i}
		switch {
		case s.i < len(s.text) && s.text[s.i] == '"':
			s.quoted()
			if s.i-p.offset >= 2 {
				p.name = unescape(s.text[p.offset+1 : s.i-1])
			}
		case s.i < len(s.text) && s.text[s.i] == '\'':
			s.quoted()
			if s.i-p.offset >= 2 {
				p.name = s.text[p.offset+1 : s.i-1]
			}
		default:
			if n := strings.IndexAny(s.text[s.i:], "=.[]{}\"'#, \t\r\n"); n >= 0 {
				s.i += n
			} else {
				s.i = len(s.text)
			}
			p.name = s.text[p.offset:s.i]
		}
		parts = append(parts, p)
		if len(parts) > maxDepth {
			s.tooDeep = p.offset
			return nil
		}
		s.space(false)
		if !s.skip('.') {
			return parts
		}
	}
}

func (s *scanner) value(n *node, depth int) {
	n.offset = s.i
	if depth > maxDepth {
		s.tooDeep = s.i
	}
	if s.i >= len(s.text) || s.tooDeep >= 0 {
		return
	}
	switch s.text[s.i] {
	case '"', '\'':
		s.quoted()
	case '[':
		n.items = []*node{}
		s.list(']', func() {
			item := &node{named: true}
			n.items = append(n.items, item)
			s.value(item, depth+1)
		})
	case '{':
		n.keys = map[string]*node{}
		s.list('}', func() { s.pair(n, depth+1) })
	default:
		if end := strings.IndexAny(s.text[s.i:], ",]}#\r\n"); end >= 0 {
			s.i += end
		} else {
			s.i = len(s.text)
		}
	}
}

// list reads elements between commas up to the end character.
func (s *scanner) list(end byte, element func()) {
	s.i++
	for s.tooDeep < 0 {
		s.space(true)
		if s.i >= len(s.text) || s.skip(end) {
			return
		}
		start := s.i
		if s.text[s.i] != ',' {
			element()
		}
		if s.i == start {
			s.i++
		}
	}
}

// quoted skips a string of any of the four kinds.
func (s *scanner) quoted() {
	quote := s.text[s.i : s.i+1]
	long := strings.Repeat(quote, 3)
	end, lines := quote, false
	if strings.HasPrefix(s.text[s.i:], long) {
		end, lines = long, true
	}
	s.i += len(end)
	for s.i < len(s.text) {
		switch c := s.text[s.i]; {
		case c == '\\' && quote == `"`:
			s.i++
		case c == '\n' && !lines:
			return
		case strings.HasPrefix(s.text[s.i:], end):
			s.i += len(end)
			// One or two quotes may stand before the closing three.
			for n := 0; lines && n < 2 && s.skip(quote[0]); n++ {
			}
			return
		}
		s.i++
	}
	s.i = len(s.text)
}

var escapes = map[byte]string{'b': "\b", 't': "\t", 'n': "\n", 'f': "\f", 'r': "\r", 'e': "\x1b", '"': `"`, '\\': `\`}

var escapeDigits = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// unescape resolves the escapes of a quoted key.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		b.WriteString(escapes[s[i]])
		if n := escapeDigits[s[i]]; n > 0 && i+n < len(s) {
			code, _ := strconv.ParseUint(s[i+1:i+1+n], 16, 32)
			b.WriteRune(rune(code))
			i += n
		}
	}
	return b.String()
}

// lines turns offsets into lines and columns.
type lines struct {
	starts []int // offsets of the lines' first bytes
	wide   []int // offsets of the bytes that begin no character
}

func newLines(text string) *lines {
	l := &lines{starts: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			l.starts = append(l.starts, i+1)
		} else if !utf8.RuneStart(text[i]) {
			l.wide = append(l.wide, i)
		}
	}
	return l
}

// at returns the line and the column, in characters, of an offset.
func (l *lines) at(offset int) (line, col int) {
	line = upper(l.starts, offset)
	start := l.starts[line-1]
	return line, offset - start + 1 - (upper(l.wide, offset-1) - upper(l.wide, start-1))
}

// upper returns how many of the sorted numbers are at most limit.
func upper(sorted []int, limit int) int {
	low, high := 0, len(sorted)
	for low < high {
		if mid := (low + high) / 2; sorted[mid] <= limit {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
