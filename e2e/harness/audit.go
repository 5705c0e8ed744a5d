// Package harness runs the router's binary against real RabbitMQ nodes while things
// go wrong, and judges by the ids of the messages what became of each. All of it is for
// tests: its functions fail them.
package harness

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
)

// Load is a set of numbered messages that can be told apart, and whose bodies
// can be checked, from their numbers alone.
type Load struct {
	Seed  uint64
	Count int
	Keys  int // message i belongs to key i mod Keys
	Pad   int // bytes of filling in a body
}

// Key returns the ordering key of message id.
func (l Load) Key(id int) string { return fmt.Sprintf("key-%d", id%l.Keys) }

// Body returns the body of message id: JSON that holds its number, its key and
// a checksum.
func (l Load) Body(id int) []byte {
	text := fmt.Sprintf(`{"id":%d,"seed":%d,"order":{"kind":"order","key":%q},"tenant":"acme","pad":"%s"`,
		id, l.Seed, l.Key(id), strings.Repeat("x", l.Pad))
	return fmt.Appendf(nil, `%s,"sum":"%08x"}`, text, crc32.ChecksumIEEE([]byte(text)))
}

// Audit follows the messages of a load. It is not safe for concurrent use.
type Audit struct {
	load  Load
	state []fate
	next  map[string]map[string]int // queue, then key: the lowest id not seen yet

	report Report
}

type fate struct {
	attempted, acknowledged bool
	delivered               int // times in any queue
	dead                    int // times as a dead letter
}

// Report is the verdict of an audit. The words are those of Jepsen's checker
// for queues.
type Report struct {
	Seed         uint64         `json:"seed"`
	Attempted    int            `json:"attempted"`    // messages given to the broker
	Acknowledged int            `json:"acknowledged"` // of those, confirmed by it
	Delivered    int            `json:"delivered"`    // messages that arrived, each counted once
	Lost         int            `json:"lost"`         // acknowledged, and neither delivered nor dead
	Recovered    int            `json:"recovered"`    // delivered though never acknowledged
	Duplicated   int            `json:"duplicated"`   // deliveries beyond a message's first
	Unexpected   int            `json:"unexpected"`   // deliveries of what was never attempted
	Changed      int            `json:"changed"`      // deliveries whose body differs
	Disordered   int            `json:"disordered"`   // first deliveries before an earlier message of their key
	DeadLetters  map[string]int `json:"dead_letters"` // by reason
	Examples     []string       `json:"examples,omitempty"`
}

// NewAudit returns the audit of a load of which nothing was sent yet.
func NewAudit(load Load) *Audit {
	return &Audit{
		load: load, state: make([]fate, load.Count), next: map[string]map[string]int{},
		report: Report{Seed: load.Seed, DeadLetters: map[string]int{}},
	}
}

// Attempted notes that message id was given to the broker.
func (a *Audit) Attempted(id int) { a.state[id].attempted = true }

// Acknowledged notes that the broker confirmed message id.
func (a *Audit) Acknowledged(id int) { a.state[id].acknowledged = true }

// Delivered notes the next delivery out of queue. Deliveries of one queue must
// be noted in the order in which the queue held them.
func (a *Audit) Delivered(queue string, id int, body []byte) {
	if !a.known("delivered", id, body) {
		return
	}
	a.state[id].delivered++
	if a.state[id].delivered+a.state[id].dead > 1 {
		a.report.Duplicated++
	}
	a.order(queue, id)
}

// order holds the first delivery of each message against those before it. A
// message that comes again is a repeat and moves nothing.
func (a *Audit) order(queue string, id int) {
	keys := a.next[queue]
	if keys == nil {
		keys = map[string]int{}
		a.next[queue] = keys
	}
	key := a.load.Key(id)
	if _, ok := keys[key]; !ok {
		keys[key] = id % a.load.Keys
	}
	for keys[key] < id && a.state[keys[key]].dead > 0 {
		keys[key] += a.load.Keys
	}
	switch {
	case id == keys[key]:
		keys[key] += a.load.Keys
	case id > keys[key]:
		a.report.Disordered++
		a.example("%s: message %d came before message %d of its key", queue, id, keys[key])
		keys[key] = id + a.load.Keys
	}
}

// Dead notes a dead letter with its reason. Deliveries noted after it may leave it
// out: it is no gap in their order.
func (a *Audit) Dead(id int, reason string, body []byte) {
	if !a.known("dead letter", id, body) {
		return
	}
	a.state[id].dead++
	if a.state[id].delivered+a.state[id].dead > 1 {
		a.report.Duplicated++
	}
	a.report.DeadLetters[reason]++
}

func (a *Audit) known(what string, id int, body []byte) bool {
	if id < 0 || id >= len(a.state) || !a.state[id].attempted {
		a.report.Unexpected++
		a.example("%s: message %d was never sent", what, id)
		return false
	}
	if !bytes.Equal(body, a.load.Body(id)) {
		a.report.Changed++
		a.example("%s: message %d has the body %.200q", what, id, body)
	}
	return true
}

// example keeps the first few findings in words.
func (a *Audit) example(format string, args ...any) {
	if len(a.report.Examples) < 10 {
		a.report.Examples = append(a.report.Examples, fmt.Sprintf(format, args...))
	}
}

// Report returns the verdict over what was noted so far.
func (a *Audit) Report() Report {
	r := a.report
	r.Examples = slices.Clone(r.Examples)
	r.DeadLetters = maps.Clone(r.DeadLetters)
	for id, f := range a.state {
		if f.attempted {
			r.Attempted++
		}
		if f.acknowledged {
			r.Acknowledged++
		}
		arrived := f.delivered+f.dead > 0
		if f.delivered > 0 {
			r.Delivered++
		}
		switch {
		case f.acknowledged && !arrived:
			r.Lost++
			if len(r.Examples) < 10 {
				r.Examples = append(r.Examples, fmt.Sprintf("message %d is lost", id))
			}
		case !f.acknowledged && arrived:
			r.Recovered++
		}
	}
	return r
}

// Check returns what a run must not show, one line each: anything lost,
// unexpected, changed or out of order, and more than maxDuplicates duplicates.
func (r Report) Check(maxDuplicates int) []string {
	var bad []string
	for _, c := range []struct {
		what  string
		n     int
		bound int
	}{
		{"lost", r.Lost, 0},
		{"unexpected", r.Unexpected, 0},
		{"changed", r.Changed, 0},
		{"out of order", r.Disordered, 0},
		{"duplicated", r.Duplicated, maxDuplicates},
	} {
		if c.n > c.bound {
			bad = append(bad, fmt.Sprintf("%d messages %s, at most %d allowed", c.n, c.what, c.bound))
		}
	}
	if r.Attempted == 0 || r.Acknowledged == 0 {
		bad = append(bad, "nothing was sent: the run proves nothing")
	}
	return bad
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "seed %d: %d attempted, %d acknowledged, %d delivered; %d lost, %d recovered, %d duplicated, %d unexpected, %d changed, %d out of order\n",
		r.Seed, r.Attempted, r.Acknowledged, r.Delivered, r.Lost, r.Recovered, r.Duplicated, r.Unexpected, r.Changed, r.Disordered)
	for _, reason := range slices.Sorted(maps.Keys(r.DeadLetters)) {
		fmt.Fprintf(w, "  %d dead letters: %s\n", r.DeadLetters[reason], reason)
	}
	for _, e := range r.Examples {
		fmt.Fprintln(w, "  "+e)
	}
}
