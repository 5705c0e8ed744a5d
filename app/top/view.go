// Package top shows a running router on a terminal: once, or live.
package top

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/wasmrouter/router/app"
)

// WriteStatus writes a router's status as tables. From is where it was asked.
func WriteStatus(w io.Writer, from string, s *app.Status) error {
	return write(w, from, nil, s)
}

// write writes the status, with what has happened since before unless that is nil:
// then per second, and otherwise in all.
func write(w io.Writer, from string, before, s *app.Status) error {
	fmt.Fprintf(w, "router %s at %s: %s, up %s\n", clean(s.Version), from, readiness(s), s.Now.Sub(s.Started).Round(time.Second))
	for _, reason := range s.Reasons {
		fmt.Fprintf(w, "  %s\n", clean(reason))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nROUTE\tQUEUE\tSTATE\tRECEIVED\tSENT\tDROPPED\tDEAD\tRETRIES\tIN HAND\tP50\tP99\n")
	for i := range s.Routes {
		r := &s.Routes[i]
		was := find(before, func(b *app.Status) []app.RouteStatus { return b.Routes }, func(x *app.RouteStatus) bool { return x.Name == r.Name })
		per := rate{before, s}
		d := r.Duration
		var p app.RouteStatus
		if was != nil {
			p, d = *was, since(was.Duration, r.Duration)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", clean(r.Name), clean(r.Queue), routeState(r),
			per.of(p.Received, r.Received), per.of(p.Sent["ok"], r.Sent["ok"]), per.of(p.Settled["drop"], r.Settled["drop"]),
			per.of(sum(p.DeadLetters), sum(r.DeadLetters)), per.of(p.Retries, r.Retries), r.Inflight, quantile(d, 0.5), quantile(d, 0.99))
	}
	if len(s.Filters) > 0 {
		fmt.Fprint(t, "\nFILTER\tINSTANCES\tMEMORY\tCALLS\tFAILURES\tP50\tP99\tSTATE\n")
	}
	for i := range s.Filters {
		f := &s.Filters[i]
		was := find(before, func(b *app.Status) []app.FilterStatus { return b.Filters }, func(x *app.FilterStatus) bool { return x.Name == f.Name })
		per := rate{before, s}
		d := f.Duration
		var p app.FilterStatus
		if was != nil {
			p, d = *was, since(was.Duration, f.Duration)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", clean(f.Name), f.Instances, size(f.MemoryBytes),
			per.of(p.Calls, f.Calls), per.of(sum(p.Failures), sum(f.Failures)), quantile(d, 0.5), quantile(d, 0.99), filterState(f))
	}
	fmt.Fprint(t, "\nCONNECTION\tHOST\tSTATE\tRECONNECTS\n")
	for _, c := range s.Connections {
		state := "connected"
		switch {
		case !c.Connected:
			state = "not connected"
			if c.LastError != "" {
				state += ": " + clean(c.LastError)
			}
		case c.Blocked:
			state = "blocked"
		case c.Consuming:
			state = "consuming"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\n", clean(c.Purpose), clean(c.Host), state, c.Reconnects)
	}
	return t.Flush()
}

func readiness(s *app.Status) string {
	if s.Ready {
		return "ready"
	}
	return "not ready"
}

func routeState(r *app.RouteStatus) string {
	switch {
	case r.Failure != "":
		return "failed"
	case r.Paused:
		return "paused"
	case r.Consuming:
		return "consuming"
	}
	return "waiting"
}

func filterState(f *app.FilterStatus) string {
	state := "ok"
	if f.Failing != "" {
		state = "failing"
	}
	if f.Shadow != nil {
		state += ", new version: " + f.Shadow.State
	}
	return state
}

// find returns the one of a list of before that is meant; nil if there is none.
func find[T any](before *app.Status, list func(*app.Status) []T, is func(*T) bool) *T {
	if before == nil {
		return nil
	}
	all := list(before)
	for i := range all {
		if is(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

// rate writes counts: what came to them per second between two moments, or all if
// there is only one.
type rate struct{ before, now *app.Status }

func (r rate) of(before, now uint64) string {
	if r.before == nil {
		return strconv.FormatUint(now, 10)
	}
	seconds := r.now.Now.Sub(r.before.Now).Seconds()
	if now < before || seconds <= 0 { // counts that began anew
		return "-"
	}
	n := float64(now-before) / seconds
	if n > 0 && n < 10 {
		return strconv.FormatFloat(n, 'f', 1, 64) + "/s"
	}
	return strconv.FormatFloat(n, 'f', 0, 64) + "/s"
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// since returns what came to a histogram, or all of it if it has begun anew or
// nothing has.
func since(before, now app.Histogram) app.Histogram {
	d := app.Histogram{Bounds: now.Bounds, Counts: slices.Clone(now.Counts)}
	some := false
	for i := range d.Counts {
		if i >= len(before.Counts) || before.Counts[i] > d.Counts[i] {
			return now
		}
		d.Counts[i] -= before.Counts[i]
		some = some || d.Counts[i] > 0
	}
	if !some {
		return now
	}
	return d
}

// quantile returns the upper bound of the bucket that the quantile is in.
func quantile(h app.Histogram, q float64) string {
	var all uint64
	for _, n := range h.Counts {
		all += n
	}
	left := q * float64(all)
	for i, n := range h.Counts {
		if left -= float64(n); n == 0 || left > 0 {
			continue
		}
		if i >= len(h.Bounds) {
			return ">" + seconds(h.Bounds[len(h.Bounds)-1])
		}
		return "≤" + seconds(h.Bounds[i])
	}
	return "-"
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).String()
}

func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}

// clean keeps what could steer the terminal, or break a table, out.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// writeLines writes a line for each route: what came to it per second.
func writeLines(w io.Writer, before, s *app.Status) error {
	for i := range s.Routes {
		r := &s.Routes[i]
		was := find(before, func(b *app.Status) []app.RouteStatus { return b.Routes }, func(x *app.RouteStatus) bool { return x.Name == r.Name })
		var p app.RouteStatus
		d := r.Duration
		if was != nil {
			p, d = *was, since(was.Duration, r.Duration)
		}
		per := rate{before, s}
		_, err := fmt.Fprintf(w, "%s %s %s received=%s sent=%s dropped=%s dead=%s in_hand=%d p50=%s p99=%s\n", s.Now.UTC().Format(time.RFC3339), clean(r.Name), routeState(r),
			per.of(p.Received, r.Received), per.of(p.Sent["ok"], r.Sent["ok"]), per.of(p.Settled["drop"], r.Settled["drop"]),
			per.of(sum(p.DeadLetters), sum(r.DeadLetters)), r.Inflight, quantile(d, 0.5), quantile(d, 0.99))
		if err != nil {
			return err
		}
	}
	return nil
}
