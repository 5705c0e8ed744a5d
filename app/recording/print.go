package recording

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/internal/textdiff"
)

// WriteText writes the differences one by one, and then the counts.
func (r *Replayed) WriteText(w io.Writer) error {
	var b strings.Builder
	for i := range r.Differences {
		r.Differences[i].text(&b)
	}
	if left := r.Different - len(r.Differences); left > 0 && len(r.Differences) > 0 {
		fmt.Fprintf(&b, "and %d more messages that differ\n", left)
	}
	fmt.Fprintf(&b, "%d messages, %d as before, %d different\n", r.Messages, r.Same, r.Different)
	kinds := slices.SortedFunc(maps.Keys(r.Kinds), func(x, y string) int {
		if d := r.Kinds[y] - r.Kinds[x]; d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	for _, kind := range kinds {
		fmt.Fprintf(&b, "  %d %s\n", r.Kinds[kind], workbench.OneLine(kind))
	}
	for _, route := range slices.Sorted(maps.Keys(r.Unknown)) {
		fmt.Fprintf(&b, "%d messages of route %s were left out: the configuration has no such route\n", r.Unknown[route], workbench.OneLine(route))
	}
	for _, torn := range r.Torn {
		fmt.Fprintf(&b, "%s; what comes before was read\n", workbench.OneLine(torn))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *Difference) text(b *strings.Builder) {
	fmt.Fprintf(b, "#%d %s", d.Message, workbench.OneLine(d.Route))
	if d.ID != "" {
		b.WriteString(" " + workbench.OneLine(d.ID))
	}
	b.WriteString("\n")
	for _, c := range d.Changes {
		c.text(b)
	}
}

func (c *Change) text(b *strings.Builder) {
	what := c.What
	if c.To != "" {
		what += " to " + c.To
	}
	was, isText := c.Was.(string)
	now, isToo := c.Now.(string)
	switch {
	case c.What == whatMessage && c.Was == nil:
		fmt.Fprintf(b, "  + %s\n", workbench.OneLine(what))
	case c.What == whatMessage:
		fmt.Fprintf(b, "  - %s\n", workbench.OneLine(what))
	case isText && isToo && c.What == "body" && strings.Contains(was+now, "\n"):
		fmt.Fprintf(b, "  %s\n", workbench.OneLine(what))
		for line := range strings.Lines(textdiff.Lines(was, now)) {
			b.WriteString("  " + workbench.OneLine(strings.TrimSuffix(line, "\n")) + "\n")
		}
	default:
		fmt.Fprintf(b, "  %s: %s -> %s\n", workbench.OneLine(what), workbench.Show(c.Was), workbench.Show(c.Now))
	}
}
