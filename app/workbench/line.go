package workbench

import (
	"strconv"
	"strings"
	"unicode"
)

// OneLine returns a text that others wrote so that it neither looks like more than
// one line nor steers a terminal: a line feed is a space, and what is not seen is
// escaped, or replaced where it is no UTF-8.
func OneLine(s string) string {
	var b strings.Builder
	for _, r := range s { // invalid bytes are U+FFFD
		switch {
		case r == '\n':
			b.WriteByte(' ')
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
