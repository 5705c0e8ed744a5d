package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// FuzzUnits: what is read as a duration or size is written so that it is read as
// the same, and means what the standard library says it means.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"1h0m1s", "1.5h", "2562047h47m16.854775807s", "-0s", "+1m", ".5s", "0", "4 MiB", "8589934591GiB", "3KB", "00B", "1e3B", " B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, d2 := Duration(-1), Duration(-1)
		std, stdErr := time.ParseDuration(text)
		switch err := d.UnmarshalText([]byte(text)); {
		case (err == nil) != (stdErr == nil && std >= 0):
			t.Errorf("%q: %v, the standard library says %v, %v", text, err, std, stdErr)
		case err != nil:
			if d != -1 {
				t.Errorf("%q was refused, and became %v", text, d)
			}
		default:
			if err := d2.UnmarshalText([]byte(d.String())); err != nil || d2 != d || d.Std() != std {
				t.Errorf("%q became %v, and that %v, %v", text, d, d2, err)
			}
		}
		s, s2 := Size(-1), Size(-1)
		if err := s.UnmarshalText([]byte(text)); err != nil {
			if s != -1 {
				t.Errorf("%q was refused, and became %v", text, s)
			}
			return
		}
		if err := s2.UnmarshalText([]byte(s.String())); err != nil || s2 != s || s < 0 {
			t.Errorf("%q became %v, and that %v, %v", text, s, s2, err)
		}
		if digits := strings.TrimRight(text, "KMGkiB "); fmt.Sprint(s.Bytes()) != digits && strings.HasSuffix(text, digits+"B") && digits[0] != '0' {
			t.Errorf("%q became %d bytes", text, s.Bytes())
		}
	})
}

// FuzzExpand holds interpolation to this: what is escaped comes out as it was,
// what a variable or a file holds is not looked at again, and an error shows
// nothing of a secret and nothing that a terminal would act on.
func FuzzExpand(f *testing.F) {
	f.Add("a ${env:V} b", "${env:V}")
	f.Add("$${env:V}$$${", "x")
	f.Add("${env:NONE:-${}}", "")
	f.Add("${file:key}${file:}", "two\nlines\r\n")
	f.Add("${env:\x1b]0;}${", "\xff")
	dir := f.TempDir()
	key := filepath.Join(dir, "key")
	f.Fuzz(func(t *testing.T, text, value string) {
		if err := os.WriteFile(key, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		in := interpolation{dir: dir, warn: func(problem, _ string) { t.Error(problem) }, Options: Options{
			Env: func(name string) (string, bool) {
				if name != "V" {
					return "", false
				}
				return value, true
			},
			open: func(path string) (*os.File, error) { return os.Open(filepath.Join(dir, filepath.Base(path))) },
		}}
		if got, p := in.expand(strings.ReplaceAll(text, "${", "$${")); utf8.ValidString(text) && (p != nil || got != text) {
			t.Errorf("%q, escaped, became %q, %v", text, got, p)
		}
		line := strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
		for written, want := range map[string]string{"${env:V}": value, "${file:key}": line, "${env:NONE:-x}": "x"} {
			if got, p := in.expand("<" + written + ">"); utf8.ValidString(value) && (p != nil || got != "<"+want+">") {
				t.Errorf("%s became %q, %v; it is %q", written, got, p, value)
			}
		}
		in.secret = true
		const secret = "hunter2"
		for _, written := range []string{text, secret + text, "${" + secret + "}" + text, "${env:V}" + secret + "${" + text} {
			_, p := in.expand(written)
			if p == nil {
				continue
			}
			for _, s := range []string{p.text, p.hint} {
				if s == "" || strings.ContainsFunc(s, unicode.IsControl) || strings.Contains(s, secret) && !strings.Contains(text, secret) {
					t.Errorf("%q: %q", written, s)
				}
			}
		}
	})
}

// FuzzShownURL: however an address with a password is written, what is shown of
// it has nothing of the password.
func FuzzShownURL(f *testing.F) {
	f.Add("amqps://", "user", "p/@:%,?#", "@host:5671/v?heartbeat=1")
	f.Add("amqp:", "", "%zz", "@[::1")
	f.Add("AMQP://a,", "u:", "x#y@z", "@h1,h2/")
	f.Fuzz(func(t *testing.T, before, user, password, behind string) {
		const mark = "hunter2"
		if strings.Contains(before+user+password+behind, mark) || strings.ContainsAny(before+user, "@/?#") {
			before, user = "amqp://", "user"
			password, behind = strings.ReplaceAll(password, mark, ""), strings.ReplaceAll(behind, mark, "")
		}
		for _, secret := range []string{mark + password, password + mark} {
			u := NewURL(before + user + ":" + secret + "@" + behind)
			for _, shown := range []string{u.String(), fmt.Sprintf("%v %q %#v %x", u, u, u, u)} {
				if strings.Contains(shown, mark) {
					t.Errorf("%q is shown as %s", u.Reveal(), shown)
				}
			}
		}
	})
}
