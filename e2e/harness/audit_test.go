package harness

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAuditSeesEveryFate(t *testing.T) {
	load := Load{Seed: 7, Count: 6, Keys: 2}
	// Messages 0 2 4 belong to one key, 1 3 5 to the other.
	type event struct {
		what string
		id   int
	}
	deliver := func(ids ...int) (all []event) {
		for _, id := range ids {
			all = append(all, event{"deliver", id})
		}
		return all
	}
	for _, tc := range []struct {
		name   string
		events []event
		want   Report
		check  []string // parts of the lines of Check(1)
	}{
		{
			name: "all well, keys interleaved", events: deliver(1, 0, 3, 5, 2, 4),
			want: Report{Delivered: 6},
		},
		{
			name: "one lost", events: deliver(0, 1, 2, 3, 4),
			want:  Report{Delivered: 5, Lost: 1},
			check: []string{"1 messages lost"},
		},
		{
			name: "a gap is disorder, and what comes late is not lost", events: deliver(0, 4, 2, 1, 3, 5),
			want:  Report{Delivered: 6, Disordered: 1},
			check: []string{"1 messages out of order"},
		},
		{
			name: "the window repeats in order", events: deliver(0, 1, 2, 3, 0, 1, 2, 3, 4, 5),
			want:  Report{Delivered: 6, Duplicated: 4},
			check: []string{"4 messages duplicated, at most 1"},
		},
		{
			name: "a repeat in between does not excuse a gap", events: deliver(0, 0, 4, 2, 1, 3, 5),
			want:  Report{Delivered: 6, Duplicated: 1, Disordered: 1},
			check: []string{"out of order"},
		},
		{
			name: "a dead letter is not lost", events: append(deliver(0, 1, 2, 3, 4), event{"dead", 5}),
			want: Report{Delivered: 5, DeadLetters: map[string]int{"unroutable": 1}},
		},
		{
			name: "a dead letter leaves no gap", events: append([]event{{"dead", 2}}, deliver(0, 1, 4, 3, 5)...),
			want: Report{Delivered: 5, DeadLetters: map[string]int{"unroutable": 1}},
		},
		{
			name: "delivered and dead is a duplicate", events: append(deliver(0, 1, 2, 3, 4, 5), event{"dead", 5}, event{"dead", 5}),
			want:  Report{Delivered: 6, Duplicated: 2, DeadLetters: map[string]int{"unroutable": 2}},
			check: []string{"2 messages duplicated"},
		},
		{
			name: "a changed body", events: append(deliver(0, 1, 2, 3, 4), event{"change", 5}),
			want:  Report{Delivered: 6, Changed: 1},
			check: []string{"1 messages changed"},
		},
		{
			name: "out of nowhere", events: append(deliver(0, 1, 2, 3, 4, 5), event{"deliver", 99}, event{"deliver", -1}),
			want:  Report{Delivered: 6, Unexpected: 2},
			check: []string{"2 messages unexpected"},
		},
		{
			name: "never confirmed, yet there", events: append([]event{{"forget", 5}}, deliver(0, 1, 2, 3, 4, 5)...),
			want: Report{Delivered: 6, Recovered: 1, Acknowledged: 5},
		},
		{
			name: "never confirmed and not there is not lost", events: append([]event{{"forget", 5}}, deliver(0, 1, 2, 3, 4)...),
			want: Report{Delivered: 5, Acknowledged: 5},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := NewAudit(load)
			for id := range load.Count {
				a.Attempted(id)
				a.Acknowledged(id)
			}
			for _, e := range tc.events {
				switch e.what {
				case "deliver":
					a.Delivered("out", e.id, load.Body(e.id))
				case "change":
					a.Delivered("out", e.id, append(load.Body(e.id), ' '))
				case "dead":
					a.Dead(e.id, "unroutable", load.Body(e.id))
				case "forget":
					a.state[e.id].acknowledged = false
				}
			}
			got := a.Report()
			tc.want.Seed, tc.want.Attempted = 7, 6
			if tc.want.Acknowledged == 0 {
				tc.want.Acknowledged = 6
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Report{}, "Examples")); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			lines := got.Check(1)
			if len(lines) != len(tc.check) {
				t.Fatalf("Check = %q, want %q", lines, tc.check)
			}
			for i, part := range tc.check {
				if !strings.Contains(lines[i], part) {
					t.Errorf("Check line %q, want it to hold %q", lines[i], part)
				}
			}
		})
	}
}

func TestOrderIsJudgedForEachQueue(t *testing.T) {
	load := Load{Count: 4, Keys: 1}
	a := NewAudit(load)
	for id := range load.Count {
		a.Attempted(id)
		a.Acknowledged(id)
	}
	// A fault leaves the first half in one queue and the second in another.
	for _, id := range []int{0, 1} {
		a.Delivered("left", id, load.Body(id))
	}
	for _, id := range []int{3, 2} {
		a.Delivered("right", id, load.Body(id))
	}
	if got := a.Report().Disordered; got != 1 {
		t.Errorf("disordered %d, want the one gap at the start of the second queue", got)
	}
}

func TestAnAuditOfNothingProvesNothing(t *testing.T) {
	if lines := NewAudit(Load{Count: 3, Keys: 1}).Report().Check(100); len(lines) != 1 {
		t.Errorf("Check of an empty run = %q, want a complaint", lines)
	}
}

func TestLoadBodiesAreJSONAndDiffer(t *testing.T) {
	load := Load{Seed: 3, Count: 2, Keys: 2, Pad: 10}
	var doc struct {
		ID    int
		Order struct{ Kind, Key string }
		Sum   string
	}
	if err := json.Unmarshal(load.Body(1), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.ID != 1 || doc.Order.Key != "key-1" || len(doc.Sum) != 8 {
		t.Errorf("body %s", load.Body(1))
	}
	if cmp.Equal(load.Body(0), load.Body(1)) || cmp.Equal(load.Body(1), Load{Seed: 4, Count: 2, Keys: 2, Pad: 10}.Body(1)) {
		t.Error("bodies of different messages or seeds are equal")
	}
}
