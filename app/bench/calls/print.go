package calls

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// goal is a ratio that is to be reached.
type goal struct {
	what     string
	a, b     string // sides, of which a's figure is divided by b's
	of       func(*Result) float64
	from, to float64 // 0 is no bound
}

var goals = []goal{
	{"p50 of a call", SideGo, SideBare, func(r *Result) float64 { return r.Call.P50Micros }, 0, 1.2},
	{"CPU of a call", SideGo, SidePython, func(r *Result) float64 { return r.Call.CPUMicros() }, 0, 0.1},
	{"p50 of a call", SideProxy, SideGo, func(r *Result) float64 { return r.Call.P50Micros }, 0, 2.2},
	{"casts a second", SideGo, SidePython, func(r *Result) float64 { return r.Cast.PerSecond }, 5, 0},
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%d calls and casts a run (Python a quarter), %d runs a side in turn, medians; %d bytes there and back; %s, oslo.messaging %s, %d CPUs\n\n",
		r.Calls, r.Rounds, r.Bytes, r.Go, r.Python, r.CPUs)
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "callers\tside\tcall p50 µs\tp99 µs\tcalls/s\tCPU µs: client\tserver\trouter\tcast p50 µs\tcasts/s\tCPU µs: client\tserver\trouter\tfailed\tconnections\t")
	var callers []int
	for _, x := range r.Results {
		if !slices.Contains(callers, x.Callers) {
			callers = append(callers, x.Callers)
		}
	}
	for _, n := range callers {
		for _, x := range r.Results {
			if x.Callers == n {
				fmt.Fprintf(tw, "%d\t%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t%d + %d\t\n", n, x.Side,
					x.Call.P50Micros, x.Call.P99Micros, x.Call.PerSecond, x.Call.ClientMicros, x.Call.ServerMicros, x.Call.RouterMicros,
					x.Cast.P50Micros, x.Cast.PerSecond, x.Cast.ClientMicros, x.Cast.ServerMicros, x.Cast.RouterMicros,
					x.Call.Failed+x.Cast.Failed, x.ClientConnections, x.ServerConnections)
			}
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, x := range r.Results {
		if why := cmp.Or(x.Call.Why, x.Cast.Why); why != "" {
			fmt.Fprintf(w, "%s, %d callers, the first failure: %s\n", x.Side, x.Callers, why)
		}
	}
	fmt.Fprintln(w)
	for _, g := range goals {
		for _, n := range callers {
			a, b := r.result(g.a, n), r.result(g.b, n)
			if a == nil || b == nil || g.of(b) == 0 {
				continue
			}
			ratio, want := g.of(a)/g.of(b), fmt.Sprintf("goal ≥ %v", g.from)
			met := ratio >= g.from
			if g.to > 0 {
				want, met = fmt.Sprintf("goal ≤ %v", g.to), ratio <= g.to
			}
			if !met {
				want += ", missed"
			}
			fmt.Fprintf(w, "%s, %d callers: %s / %s = %.3g (%s)\n", g.what, n, g.a, g.b, ratio, want)
		}
	}
	return nil
}
