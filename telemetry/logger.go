package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
)

// NewLogger returns a logger of records at level and above, in the format
// "text" or "json"; anything else, as "auto", is text if w is a terminal and
// JSON if not. Level may be changed while the logger is in use. Each record is
// one line and one Write; whatever the values hold, no control character and
// no other invisible one leaves unescaped. Repeated lines are
// sampled; the [Sampler], which is the logger's handler, counts all of them.
func NewLogger(level *slog.LevelVar, format string, w io.Writer) (*slog.Logger, *Sampler) {
	opts := &slog.HandlerOptions{Level: level}
	text := format == "text"
	if f, ok := w.(*os.File); ok && format != "json" && format != "text" {
		text = term.IsTerminal(int(f.Fd()))
	}
	w = escaper{w}
	var handler slog.Handler = slog.NewJSONHandler(w, opts)
	if text {
		handler = slog.NewTextHandler(w, opts)
	}
	sampler := NewSampler(handler)
	return slog.New(sampler), sampler
}

// escaper escapes what slog's handlers leave: the JSON one DEL, the C1 control
// characters, of which U+009B starts a terminal's escape sequence, and those
// that turn the direction of writing; the text one DEL. All of them can only
// stand in values, where both formats read \u escapes.
type escaper struct{ w io.Writer }

func (e escaper) Write(line []byte) (int, error) {
	if i := bytes.IndexFunc(line, hidden); i >= 0 {
		out := append(make([]byte, 0, len(line)+32), line[:i]...)
		for rest := line[i:]; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			switch {
			case !hidden(r):
				out = append(out, rest[:n]...)
			case r > 0xffff:
				high, low := utf16.EncodeRune(r)
				out = fmt.Appendf(out, "\\u%04x\\u%04x", high, low)
			default:
				out = fmt.Appendf(out, "\\u%04x", r)
			}
			rest = rest[n:]
		}
		if _, err := e.w.Write(out); err != nil {
			return 0, err
		}
		return len(line), nil
	}
	return e.w.Write(line)
}

func hidden(r rune) bool {
	if r < 0x7f {
		return false // slog escapes the C0 controls, and ends records with a newline
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
