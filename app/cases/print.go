package cases

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/internal/junit"
)

// WriteText writes a table of all cases, then what was not as wanted, and the
// counts.
func (r *Report) WriteText(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i := range r.Cases {
		c := &r.Cases[i]
		result := "ok"
		if !c.Passed {
			result = "MISS"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", result, workbench.OneLine(c.Route), workbench.OneLine(c.Name), c.Took.Round(10*time.Microsecond))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for i := range r.Cases {
		if c := &r.Cases[i]; !c.Passed {
			fmt.Fprintf(w, "\n%s:%d: %s\n%s", c.File, c.Line, workbench.OneLine(c.Name), c.why())
		}
	}
	_, err := fmt.Fprintf(w, "\n%d passed, %d missed\n", r.Passed, r.Failed)
	return err
}

// why says what was not as wanted, one thing a line.
func (c *Result) why() string {
	var b strings.Builder
	if c.Error != "" {
		fmt.Fprintf(&b, "  %s\n", workbench.OneLine(c.Error))
	}
	for _, m := range c.Misses {
		if m.Diff != "" {
			fmt.Fprintf(&b, "  %s (- wanted, + got)\n%s", workbench.OneLine(m.What), indent(m.Diff))
			continue
		}
		fmt.Fprintf(&b, "  %s: want %s, got %s\n", workbench.OneLine(m.What), workbench.OneLine(m.Want), workbench.OneLine(m.Got))
	}
	if c.Got != "" {
		fmt.Fprintf(&b, "  it was %s\n", workbench.OneLine(c.Got))
	}
	return b.String()
}

func indent(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString("  " + workbench.OneLine(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return b.String()
}

// WriteJUnit writes the report as the XML that test collectors read.
func (r *Report) WriteJUnit(w io.Writer) error {
	suite := junit.Suite{Name: r.Config}
	for i := range r.Cases {
		c := &r.Cases[i]
		jc := junit.Case{Class: r.Config, Name: c.Name, File: c.File, Took: c.Took}
		if c.Route != "" {
			jc.Class += "." + c.Route
		}
		switch {
		case c.Error != "":
			jc.Failed = workbench.OneLine(c.Error)
		case !c.Passed:
			jc.Failed, jc.Text = "it is not as wanted", c.why()
		}
		suite.Cases = append(suite.Cases, jc)
	}
	return suite.Write(w)
}
