package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/e2e/harness"
)

// TestVerdictsAreThoseOfGoTest has a test that passes, one that fails, one that is
// skipped and one during which the process dies.
func TestVerdictsAreThoseOfGoTest(t *testing.T) {
	events := `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestF01Good"}
{"Action":"run","Package":"p","Test":"TestF01Good/part"}
{"Action":"pass","Package":"p","Test":"TestF01Good/part"}
{"Action":"pass","Package":"p","Test":"TestF01Good","Elapsed":1.5}
{"Action":"run","Package":"p","Test":"TestF02Bad"}
{"Action":"output","Package":"p","Test":"TestF02Bad","Output":"what went wrong\n"}
{"Action":"fail","Package":"p","Test":"TestF02Bad"}
{"Action":"run","Package":"p","Test":"TestF03Skipped"}
{"Action":"skip","Package":"p","Test":"TestF03Skipped"}
{"Action":"run","Package":"p","Test":"TestF04Died"}
{"Action":"output","Package":"p","Output":"panic: oh\n"}
{"Action":"fail","Package":"p"}
`
	var progress strings.Builder
	got, err := follow(strings.NewReader(events), &progress)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"TestF01Good": true, "TestF02Bad": false, "TestF03Skipped": false, "TestF04Died": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	for _, part := range []string{"what went wrong", "panic: oh", "pass TestF01Good"} {
		if !strings.Contains(progress.String(), part) {
			t.Errorf("progress lacks %q:\n%s", part, &progress)
		}
	}
}

func TestFiguresAddUp(t *testing.T) {
	result := func(test string, lost, duplicated int, recoveries ...float64) harness.Result {
		return harness.Result{
			Report: harness.Report{Attempted: 100, Lost: lost, Duplicated: duplicated, DeadLetters: map[string]int{"trap": 1}},
			Test:   test, Faults: map[string]int{"a": 1, "b": 2}, Window: 10, Recoveries: recoveries,
		}
	}
	first := &trial{
		seed: 1, verdict: map[string]bool{"TestF01One": true, "TestF01Two": true, "TestOther": false},
		results: []harness.Result{result("TestF01One", 0, 2, 0.3), result("TestF01Two/part", 0, 3, 0.1, 0.2)},
	}
	second := &trial{
		seed: 2, verdict: map[string]bool{"TestF01One": true, "TestF01Two": false},
		results: []harness.Result{result("TestF01One", 4, 0)},
	}
	got := gather([]*trial{first, second}, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
	want := []figures{{
		Row: 1, Fault: rows[0].fault, Tests: []string{"TestF01One", "TestF01Two"}, Date: "2026-01-02",
		Passed:   map[string]bool{"1": true, "2": false},
		Messages: 300, Faults: 9, Lost: 4, Duplicates: 5, Bound: 90, DeadLetters: 3,
		Recovery: []float64{0.2, 0.3}, Notes: map[string]string{},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	var text strings.Builder
	writeText(&text, got)
	for _, part := range []string{"FAILED 1/2", "5 of 90", "ROUTER_E2E_SEED=2 go test"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the table lacks %q:\n%s", part, &text)
		}
	}
}

func TestNewFiguresReplaceThoseOfTheirRow(t *testing.T) {
	got := merge([]figures{{Row: 1, Lost: 1}, {Row: 3, Lost: 3}}, []figures{{Row: 2, Lost: 2}, {Row: 3, Lost: 4}})
	if diff := cmp.Diff([]figures{{Row: 1, Lost: 1}, {Row: 2, Lost: 2}, {Row: 3, Lost: 4}}, got); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}

func TestADocumentWithoutMarksIsRefused(t *testing.T) {
	if _, err := fill("text", nil); err == nil {
		t.Error("a table was written nowhere")
	}
	writeMarkdown(io.Discard, nil)
}
