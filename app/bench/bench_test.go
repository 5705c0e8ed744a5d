package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

func TestBodiesHaveTheirSizeAndNumber(t *testing.T) {
	for _, size := range []int{minSize, 256, 4096} {
		for _, n := range []int{0, 7, 49999, 1<<31 - 1} {
			b := body(n, size)
			if len(b) != size || !json.Valid(b) {
				t.Errorf("body(%d, %d) is %d bytes: %s", n, size, len(b), b)
			}
			if got, ok := number(b); !ok || got != n {
				t.Errorf("the number of %s is %d, %v", b, got, ok)
			}
		}
	}
	for _, bad := range []string{"", bodyHead, bodyHead + "x,", `{"seq":1}`} {
		if n, ok := number([]byte(bad)); ok {
			t.Errorf("the number of %q is %d", bad, n)
		}
	}
}

func TestMedians(t *testing.T) {
	odd := Side{Runs: []Run{{3, 30}, {1, 10}, {2, 20}}}
	odd.medians()
	even := Side{Runs: []Run{{4, 40}, {1, 10}, {2, 20}, {3, 30}}}
	even.medians()
	if odd.PerSecond != 2 || odd.CPUMicros != 20 || even.PerSecond != 2.5 || even.CPUMicros != 25 {
		t.Errorf("medians: %v %v", odd, even)
	}
}

func TestValidate(t *testing.T) {
	good := Options{Messages: 100, Sizes: []int{64}, Rounds: 1, Prefetch: 1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Options){
		"messages": func(o *Options) { o.Messages = 99 },
		"no sizes": func(o *Options) { o.Sizes = nil },
		"size":     func(o *Options) { o.Sizes = []int{63} },
		"rounds":   func(o *Options) { o.Rounds = 0 },
		"prefetch": func(o *Options) { o.Prefetch = 0 },
	} {
		bad := good
		change(&bad)
		if bad.Validate() == nil {
			t.Errorf("%s: %+v passes", name, bad)
		}
	}
}

func TestMeasure(t *testing.T) {
	node := rabbitnode.Shared(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	last := 0.0
	report, err := Measure(t.Context(), Options{
		URL: node.URL(), Messages: 300, Sizes: []int{128}, Rounds: 2, Prefetch: 50, Filter: true,
		Progress: func(done float64, _ string) {
			if done < last || done > 1 {
				t.Errorf("progress goes from %v to %v", last, done)
			}
			last = done
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != 1 {
		t.Errorf("progress ends at %v", last)
	}
	for _, side := range []Side{report.Results[0].Bare, report.Results[0].Router} {
		if side.Lost+side.Duplicates+side.OutOfOrder != 0 || len(side.Runs) != 2 || side.PerSecond <= 0 || side.CPUMicros <= 0 {
			t.Errorf("a side is measured as %+v", side)
		}
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(text.String(), "128 B"); got != 2 {
		t.Errorf("the report has %d lines of the size:\n%s", got, &text)
	}
	left, err := node.Eval(t.Context(), `[N || Q <- rabbit_amqqueue:list(<<"/">>), begin {resource, _, _, N} = element(2, Q), binary:match(N, <<"bench-">>) =/= nomatch end]`)
	if err != nil || strings.TrimSpace(left) != "[]" {
		t.Errorf("left on the broker: %s %v", left, err)
	}
}

// A run that cannot begin is an error, not a result.
func TestMeasureWithoutABroker(t *testing.T) {
	_, err := Measure(t.Context(), Options{URL: "amqp://me:c4n4ry@127.0.0.1:1/", Messages: 100, Sizes: []int{64}, Rounds: 1, Prefetch: 1})
	if err == nil || strings.Contains(err.Error(), "c4n4ry") {
		t.Errorf("measuring without a broker: %v", err)
	}
}
