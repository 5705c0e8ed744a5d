// Package manual writes manual pages, for man(1), of commands and of router.toml.
package manual

import (
	"fmt"
	"io"
	"strings"
)

// Page is one manual page.
type Page struct {
	Name     string // such as "router-run" or "router.toml"
	Section  int    // 1 for commands, 5 for files
	Summary  string // one line
	Version  string // of the program, at the foot
	Synopsis string // may be empty
	Parts    []Part
}

// Part is one section of a page.
type Part struct {
	Title string
	// Text has paragraphs, which empty lines end, and lines that are printed as they
	// are, which begin with two spaces. It comes before the entries.
	Text    string
	Entries []Entry
}

// Entry is a flag, a key, a command: a term with what it means.
type Entry struct{ Term, Text string }

// FileName is how man finds the page.
func (p Page) FileName() string { return fmt.Sprintf("%s.%d", p.Name, p.Section) }

// Write writes the page in the man(7) language of roff. It has no date, so that the
// same program has the same pages.
func (p Page) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s %d \"\" %s Router\n", quoted(strings.ToUpper(p.Name)), p.Section, quoted("router "+p.Version))
	b.WriteString(".nh\n.ad l\n")
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(p.Name), escape(p.Summary))
	if p.Synopsis != "" {
		fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", escape(p.Synopsis))
	}
	for _, part := range p.Parts {
		fmt.Fprintf(&b, ".SH %s\n", quoted(part.Title))
		paragraphs(&b, part.Text)
		for _, e := range part.Entries {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", escape(e.Term), lines(e.Text))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// paragraphs writes text in which empty lines end paragraphs.
func paragraphs(b *strings.Builder, text string) {
	asIs := false
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		line = strings.TrimRight(line, " \n")
		if indented := strings.HasPrefix(line, "  "); line != "" && indented != asIs {
			asIs = indented
			if asIs {
				b.WriteString(".PP\n.RS 4\n.nf\n")
			} else {
				b.WriteString(".fi\n.RE\n.PP\n")
			}
		}
		switch {
		case line == "" && asIs:
			b.WriteString(".sp\n")
		case line == "":
			b.WriteString(".PP\n")
		case asIs:
			b.WriteString(escape(strings.TrimPrefix(line, "  ")) + "\n")
		default:
			b.WriteString(escape(line) + "\n")
		}
	}
	if asIs {
		b.WriteString(".fi\n.RE\n")
	}
}

// lines escapes a text that is one paragraph, whatever lines it has.
func lines(text string) string {
	return escape(strings.Join(strings.Fields(text), " "))
}

// escape has roff print a line as it is: a hyphen that can be copied, no control
// line, no escape.
func escape(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, `"`, `\(dq`).Replace(line)
	if strings.HasPrefix(line, ".") {
		line = `\&` + line
	}
	return line
}

// quoted is one argument of a macro.
func quoted(s string) string { return `"` + escape(s) + `"` }
