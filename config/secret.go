package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
)

const hidden = "***"

// Secret is a string that no way of printing shows. An empty Secret prints as
// nothing, so that one can see that it is not set. The zero Secret is empty.
type Secret struct{ text string }

// NewSecret returns a Secret that holds text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.text == "" }

// String returns "***", or "" for an empty secret.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return hidden
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format prints String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText returns String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON returns String in quotes.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// LogValue returns String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// URL is a broker's address; it may hold a password, which no way of printing
// shows. The zero URL is empty.
type URL struct{ text string }

// NewURL returns a URL that holds text, checked or not.
func NewURL(text string) URL { return URL{text} }

// Reveal returns the address with its password.
func (u URL) Reveal() string { return u.text }

// IsZero reports whether the address is empty.
func (u URL) IsZero() bool { return u.text == "" }

// String returns the address with its password replaced by "***", or "***" for
// an address that cannot be parsed, or that has an @ behind its first / as where
// a password was not encoded, since nobody knows where its password is.
func (u URL) String() string {
	if u.text == "" {
		return ""
	}
	p, err := url.Parse(u.text)
	if err != nil || p.Host == "" || p.Opaque != "" {
		return hidden
	}
	_, rest, _ := strings.Cut(u.text, "//")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 && strings.Contains(rest[i:], "@") {
		return hidden
	}
	at := ""
	if p.User != nil {
		at = url.User(p.User.Username()).String()
		if _, ok := p.User.Password(); ok {
			at += ":" + hidden
		}
		at += "@"
	}
	query := ""
	if p.RawQuery != "" {
		query = "?" + hidden
	}
	return p.Scheme + "://" + at + p.Host + p.EscapedPath() + query
}

// GoString is String.
func (u URL) GoString() string { return u.String() }

// Format prints String for every verb.
func (u URL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// MarshalText returns String.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue returns String.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// Table is a table of free shape: arguments for the broker, configuration for a
// filter. Its values are string, int64, float64, bool, time.Time, []any and
// map[string]any. Since any of them may be a secret, it prints its size only.
type Table map[string]any

// Format prints the number of keys for every verb.
func (t Table) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "{%d keys}", len(t)) }

// LogValue returns the number of keys.
func (t Table) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("%v", t)) }
