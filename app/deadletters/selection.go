package deadletters

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wasmrouter/router/router"
)

// Selection says which letters are meant: those that meet all that is said. The zero
// value selects all.
type Selection struct {
	IDs    []string `json:"ids"` // one letter for each, the first
	Reason string   `json:"reason"`
	Route  string   `json:"route"`
	Filter string   `json:"filter"`

	OlderThan   time.Duration `json:"-"` // a letter that does not say its age is not selected
	YoungerThan time.Duration `json:"-"`

	Headers []Match `json:"-"`
}

// Match is a header that a letter has to have: an x-router-* header of its own, or
// one of its original.
type Match struct {
	Name  string
	Value string
	Any   bool // whatever its value
}

// ParseMatch reads NAME or NAME=VALUE.
func ParseMatch(s string) (Match, error) {
	name, value, ok := strings.Cut(s, "=")
	if name == "" {
		return Match{}, fmt.Errorf("header %q: write it as NAME=VALUE, or NAME for any value", s)
	}
	return Match{name, value, !ok}, nil
}

func (m *Match) matches(l *Letter) bool {
	v, ok := l.Original.Header(m.Name)
	if !ok {
		v, ok = l.received.Header(m.Name)
	}
	return ok && (m.Any || headerText(v) == m.Value)
}

// headerText is a header's value as one writes it.
func headerText(v any) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case router.Decimal:
		return decimalText(v)
	}
	return fmt.Sprint(v)
}

// idDigits is how long an id is.
const idDigits = 16

// Validate reports what no letter can be.
func (s *Selection) Validate() error {
	for _, id := range s.IDs {
		if _, err := strconv.ParseUint(id, 16, 64); err != nil || len(id) != idDigits || strings.ToLower(id) != id {
			return fmt.Errorf("%q is no letter's id: that is %d hexadecimal digits, as a list shows them", id, idDigits)
		}
	}
	if s.OlderThan < 0 || s.YoungerThan < 0 {
		return fmt.Errorf("an age is 0 or more")
	}
	return nil
}

// All reports whether every letter is selected.
func (s *Selection) All() bool {
	return len(s.IDs) == 0 && s.Reason == "" && s.Route == "" && s.Filter == "" &&
		s.OlderThan == 0 && s.YoungerThan == 0 && len(s.Headers) == 0
}

// picker goes along a queue with a selection.
type picker struct {
	*Selection
	now    time.Time
	wanted []string // ids that have not come yet
}

func (s *Selection) picker(now time.Time) *picker {
	return &picker{s, now, slices.Compact(slices.Sorted(slices.Values(s.IDs)))}
}

// done reports whether everything that there can be has come.
func (p *picker) done() bool { return len(p.IDs) > 0 && len(p.wanted) == 0 }

// takes reports whether a letter is selected.
func (p *picker) takes(l *Letter) bool {
	if !p.matches(l) {
		return false
	}
	if len(p.IDs) == 0 {
		return true
	}
	i, found := slices.BinarySearch(p.wanted, l.ID)
	if found {
		p.wanted = slices.Delete(p.wanted, i, i+1)
	}
	return found
}

func (p *picker) matches(l *Letter) bool {
	if p.Reason != "" && l.Why() != p.Reason || p.Route != "" && l.Route != p.Route || p.Filter != "" && l.Filter != p.Filter {
		return false
	}
	if p.OlderThan > 0 || p.YoungerThan > 0 {
		age, known := l.Age(p.now)
		if !known || p.OlderThan > 0 && age < p.OlderThan || p.YoungerThan > 0 && age > p.YoungerThan {
			return false
		}
	}
	for i := range p.Headers {
		if !p.Headers[i].matches(l) {
			return false
		}
	}
	return true
}
