package harness

import "testing"

func TestSumOfSamples(t *testing.T) {
	text := "# HELP a_total x\na_total{route=\"x\",result=\"ok\"} 3\na_total{route=\"x\",result=\"no\"} 4\na_total{route=\"y\",result=\"ok\"} 8\na_total_more 100\nb 1.5e3\n"
	for _, tc := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"a_total", nil, 15},
		{"a_total", []string{`route="x"`}, 7},
		{"a_total", []string{`route="x"`, `result="ok"`}, 3},
		{"a_total", []string{`route="z"`}, 0},
		{"b", nil, 1500},
	} {
		if got, err := SumOf(text, tc.name, tc.labels...); err != nil || got != tc.want {
			t.Errorf("%s%v = %v, %v, want %v", tc.name, tc.labels, got, err, tc.want)
		}
	}
	if _, err := SumOf(text, "a"); err == nil {
		t.Error("a metric that is not there has a sum")
	}
}
