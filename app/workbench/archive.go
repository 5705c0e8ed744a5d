package workbench

import (
	"bytes"
	"strings"
)

// section is one part of an archive.
type section struct {
	name string
	data []byte // ends with a line end, unless it is empty
}

// archive is a file in the txtar form: a comment, then sections, each below a
// line "-- NAME --".
type archive struct {
	comment  []byte
	sections []section
}

func parseArchive(data []byte) archive {
	var a archive
	to := &a.comment
	for line := range bytes.Lines(data) {
		if name, ok := sectionName(line); ok {
			a.sections = append(a.sections, section{name: name})
			to = &a.sections[len(a.sections)-1].data
			continue
		}
		*to = append(*to, line...)
		if line[len(line)-1] != '\n' {
			*to = append(*to, '\n')
		}
	}
	return a
}

func sectionName(line []byte) (string, bool) {
	text := strings.TrimRight(string(line), "\r\n")
	rest, ok := strings.CutPrefix(text, "-- ")
	if !ok {
		return "", false
	}
	name, ok := strings.CutSuffix(rest, " --")
	name = strings.TrimSpace(name)
	return name, ok && name != ""
}

func (a *archive) format() []byte {
	b := bytes.Clone(a.comment)
	for _, s := range a.sections {
		b = append(b, "-- "+s.name+" --\n"...)
		b = append(b, s.data...)
	}
	return b
}
