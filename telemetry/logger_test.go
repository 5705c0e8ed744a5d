package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/wasmrouter/router/telemetry"
)

// nasty holds what an attacker puts into a routing key.
var nasty = []string{
	"line\nbreak", "cr\rlf\r\n", "\x1b[2J\x1b]0;title\x07", "nul\x00", "del\x7f", "c1 \u009b31m", "nel\u0085",
	"bidi \u202e\u2066", "zero\u200bwidth", "ls\u2028ps\u2029", "bom\ufeff", "tag\U000e0041", "raw \x9b31m \xff\xfe",
	`"quoted" \ back`, "ünïcödé 漢字 🚀",
}

func TestNoValueReachesTheTerminalUnescaped(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		for _, s := range nasty {
			var buf bytes.Buffer
			log := newLogger(new(slog.LevelVar), format, &buf)
			log.With(s, "key").WithGroup(s).Info(s, "v", s, "err", errors.New(s), "list", []string{s}, "any", map[string]any{s: s})
			line := buf.String()
			if !strings.HasSuffix(line, "\n") || strings.Count(line, "\n") != 1 {
				t.Errorf("%s: %q: not one line: %q", format, s, line)
			}
			for _, r := range strings.TrimSuffix(line, "\n") {
				if !unicode.IsPrint(r) {
					t.Errorf("%s: %q: %U is in %q", format, s, r, line)
				}
			}
			if format != "json" {
				continue
			}
			var back map[string]any
			if err := json.Unmarshal(buf.Bytes(), &back); err != nil {
				t.Errorf("%q: %v in %s", s, err, line)
			} else if utf8.ValidString(s) && back["msg"] != s {
				t.Errorf("%q comes back as %q", s, back["msg"])
			}
		}
	}
}

func TestTheFormatIsChosen(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	newLogger(new(slog.LevelVar), "auto", file).Info("to a file")
	if text, _ := os.ReadFile(file.Name()); !json.Valid(text) {
		t.Errorf("auto on a file writes %s", text)
	}

	for format, isJSON := range map[string]bool{"json": true, "text": false, "auto": true, "": true} {
		var buf bytes.Buffer
		newLogger(new(slog.LevelVar), format, &buf).Info("hello", "took_ms", 3)
		if json.Valid(buf.Bytes()) != isJSON || !strings.Contains(buf.String(), "hello") {
			t.Errorf("%q writes %s", format, buf.String())
		}
	}
}

func TestTheLevelMayChange(t *testing.T) {
	var buf bytes.Buffer
	level := new(slog.LevelVar)
	log := newLogger(level, "text", &buf)
	log.Debug("one")
	level.Set(slog.LevelDebug)
	log.Debug("two")
	level.Set(slog.LevelError)
	log.Warn("three")
	if got := buf.String(); strings.Contains(got, "one") || !strings.Contains(got, "two") || strings.Contains(got, "three") {
		t.Errorf("got %s", got)
	}
}

func FuzzLogValue(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, format := range []string{"json", "text"} {
			var buf bytes.Buffer
			newLogger(new(slog.LevelVar), format, &buf).Info("m", "v", s)
			for _, r := range strings.TrimSuffix(buf.String(), "\n") {
				if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
					t.Fatalf("%s: %U is in %q", format, r, buf.String())
				}
			}
			if format == "json" && !json.Valid(buf.Bytes()) {
				t.Fatalf("%q", buf.String())
			}
		}
	})
}

func newLogger(level *slog.LevelVar, format string, w io.Writer) *slog.Logger {
	log, _ := telemetry.NewLogger(level, format, w)
	return log
}
