package remote

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// ErrNobody is wrapped by the error of a call to an address where nobody listens.
var ErrNobody = errors.New("nobody listens; is the router running, and is that its admin.listen?")

// ErrUnreachable is wrapped by the error of a call that got no answer of HTTP.
var ErrUnreachable = errors.New("unreachable")

// Error is an answer that the router refused something with.
type Error struct {
	Code int // of HTTP
	Text string
}

// Error returns the router's own words.
func (e *Error) Error() string { return e.Text }

// unreachable is what kept a call from an answer, and the way out.
type unreachable struct {
	base string
	err  error
	hint string
}

func (e *unreachable) Error() string {
	if e.hint == "" {
		return e.base + ": " + e.err.Error()
	}
	return e.base + ": " + e.err.Error() + "; " + e.hint
}

func (e *unreachable) Unwrap() []error { return []error{ErrUnreachable, e.err} }

// What may be wrong.
const (
	isItThere   = "is that the router's admin.listen?"
	wantsClient = "the listener asks for a certificate of admin.client_ca_file: --cert FILE and --key FILE name yours"
	speaksTLS   = "the listener speaks HTTPS: write --admin https://HOST:PORT, and --ca FILE unless the system trusts its certificate"
	speaksPlain = "the listener speaks HTTP: write --admin http://HOST:PORT, without --ca, --cert and --key"
)

// failure tells what became of a call without an answer.
func (c *Client) failure(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the rest of it is in base
	}
	e := &unreachable{base: c.base, err: err}
	var lookup *net.DNSError
	var untrusted *tls.CertificateVerificationError
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		e.err = ErrNobody
	case errors.Is(err, http.ErrSchemeMismatch):
		e.hint = speaksPlain
	case errors.As(err, &untrusted):
		e.hint = "--ca FILE names the authority to trust"
	case errors.As(err, &lookup):
		e.hint = isItThere
	// crypto/tls and net/http have no values for these.
	case strings.Contains(text, "tls: certificate required"), strings.Contains(text, "tls: bad certificate"),
		strings.Contains(text, "tls: unknown certificate"):
		e.hint = wantsClient
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), strings.Contains(text, "malformed HTTP"),
		strings.Contains(text, "tls: first record does not look like"):
		e.hint = isItThere
	}
	return e
}

// maxRefusal bounds what is read of an answer that is an error.
const maxRefusal = 64 << 10

// refusal tells what the router answered, and the way out.
func (c *Client) refusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil {
		return err
	}
	var answer struct {
		Error string `json:"error"`
	}
	said := strings.TrimSpace(string(text))
	e := &Error{Code: resp.StatusCode, Text: said}
	switch {
	case json.Unmarshal(text, &answer) == nil && answer.Error != "":
		e.Text = answer.Error
	case resp.StatusCode == http.StatusUnauthorized:
		e.Text = fmt.Sprintf("%s: the router wants another token; %s", c.base, c.tokenHint())
	case resp.StatusCode == http.StatusBadRequest && strings.Contains(said, "HTTP request to an HTTPS server"):
		e.Text = fmt.Sprintf("%s: %s", c.base, speaksTLS)
	case said == "" || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || resp.StatusCode == http.StatusNotFound:
		e.Text = fmt.Sprintf("%s answers %s; %s", c.base, resp.Status, isItThere)
	}
	return e
}

// tokenHint says where the token should have come from.
func (c *Client) tokenHint() string {
	if c.file != "" {
		return fmt.Sprintf("%s cannot be used (router check -c tells why), so set ROUTER_ADMIN_TOKEN", c.file)
	}
	if c.token == "" {
		return "set ROUTER_ADMIN_TOKEN, or name its configuration with -c"
	}
	return "ROUTER_ADMIN_TOKEN, or else admin.token of the file of -c, has to be that of the running router"
}
