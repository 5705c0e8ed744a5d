package config

import (
	"errors"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// syntaxRules words the TOML library's messages. Only what is listed here is
// passed on: the messages quote the file, and so perhaps a password without its
// quotation marks.
var syntaxRules = []struct{ start, problem, hint string }{
	{"expected value but found", "not a value", `put text in quotes: "..."`},
	{"unexpected EOF; expected value", "the value is missing", "write KEY = VALUE"},
	{"unexpected EOF; expected key separator", "the key has no value", "write KEY = VALUE"},
	{"unexpected EOF", "the file ends in the middle of something", "close what was opened"},
	{"expected a top-level item to end", "something follows the value", "start a new line for the next key"},
	{"expected '.' or '=', but got", "the key is not followed by =", "write KEY = VALUE"},
	{"expected '.' or ']'", "the table's name is not closed", "end it with ]"},
	{"expected end of table array name", "the table's name is not closed", "end it with ]]"},
	{"unexpected end of table name", "the table has no name", "write [NAME]"},
	{"unexpected table separator", "the table has no name", "write [NAME]"},
	{"unexpected '='", "the key is missing", "write KEY = VALUE"},
	{"unexpected '.'", "a key cannot begin or end with a dot", "write TABLE.KEY = VALUE"},
	{"floats must start", "a number cannot begin with a dot", "write a 0 before it"},
	{"unexpected comma", "a comma without a value before it", "take it out"},
	{"expected a comma (',') or array", "the array is not closed", "separate its elements with commas and end it with ]"},
	{"expected a comma or an inline table", "the table is not closed", "separate its keys with commas and end it with }"},
	{"newlines not allowed within inline", "an inline table must be on one line", "write it as a [TABLE]"},
	{"strings cannot contain newlines", "the string is not closed on its line", `close it with a quotation mark, or use """`},
	{"unexpected '", "too many quotation marks", "close the string with as many as it began with"},
	{`unexpected "`, "too many quotation marks", "close the string with as many as it began with"},
	{"invalid escape", "invalid escape in a string", `write \\ for a backslash, or use '...'`},
	{"expected two hex", "invalid escape in a string", `\x is followed by two hexadecimal digits`},
	{"expected four hex", "invalid escape in a string", `\u is followed by four hexadecimal digits`},
	{"expected eight hex", "invalid escape in a string", `\U is followed by eight hexadecimal digits`},
	{"Escaped character", "invalid escape in a string", "it stands for no character"},
	{"invalid datetime", "not a date or time", "write 2006-01-02T15:04:05Z"},
	{"invalid float", "not a number", `put text in quotes: "..."`},
	{"Invalid float", "not a number", `put text in quotes: "..."`},
	{"Invalid integer", "not a number", `put text in quotes: "..."`},
	{"expected a digit", "not a number", `put text in quotes: "..."`},
	{"cannot use sign", "not a number", `put text in quotes: "..."`},
	{"not a binary", "not a binary number", "its digits are 0 and 1"},
	{"not an octal", "not an octal number", "its digits are 0 to 7"},
	{"not a hexadecimal", "not a hexadecimal number", "its digits are 0 to 9 and a to f"},
}

var definedTwice = regexp.MustCompile(`^Key '(.*)' (has already been defined|was already created)`)

// syntaxError words what the TOML library found.
func (d *document) syntaxError(text string, err error) *Error {
	pe, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		return d.offsetError(0, problem{"not valid TOML", "see https://toml.io"})
	}
	offset := min(max(pe.Position.Start, 0), len(text))
	if m := definedTwice.FindStringSubmatch(pe.Message); m != nil {
		e := d.offsetError(offset, problem{"defined twice", "keep one of the two"})
		e.Key = clip(m[1])
		return e
	}
	p := problem{"not valid TOML", "see https://toml.io"}
	for _, r := range syntaxRules {
		if strings.HasPrefix(pe.Message, r.start) {
			p = problem{r.problem, r.hint}
			break
		}
	}
	if strings.Contains(pe.Message, "is out of range") {
		p = problem{"the number is out of range", "write a smaller one"}
	}
	e := d.offsetError(offset, p)
	if n := strings.LastIndexByte(pe.LastKey, '.'); strings.Contains(line(text, offset), pe.LastKey[n+1:]) {
		e.Key = clip(pe.LastKey)
	}
	return e
}

// line returns the line of text that holds the offset.
func line(text string, offset int) string {
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	if end := strings.IndexByte(text[offset:], '\n'); end >= 0 {
		return text[start : offset+end]
	}
	return text[start:]
}
