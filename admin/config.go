// Package admin serves what an operator asks a running router: whether it
// lives and is ready, its metrics, its profiles, to reload, and whatever else of
// an API there is to it.
//
// The listener is meant for loopback. Any other address needs a token, and
// with a token everything but the two health checks asks for it. Requests that
// a web page could have sent are refused.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ErrInsecure is wrapped by New's and Start's error for an address that other
// machines can reach, without a token.
var ErrInsecure = errors.New("other machines can reach this address and there is no token")

// Config says what to serve and to whom. The functions are called
// concurrently; a nil one turns its endpoint off, except Health and Ready.
type Config struct {
	// Listen is HOST:PORT; port 0 takes a free one. Required. A host that is
	// neither "localhost" nor a loopback address needs a Token or ClientCAFile.
	Listen string
	// Token is what "Authorization: Bearer" must carry for everything but
	// /healthz and /readyz, which without it says no reasons. Empty: nobody is
	// asked.
	Token string
	// CertFile and KeyFile are PEM files with which the listener speaks HTTPS;
	// both empty: HTTP. ClientCAFile names the authorities of which callers then
	// need a certificate.
	CertFile, KeyFile, ClientCAFile string
	// Pprof turns /debug/pprof/ on, without the command line, which may hold
	// secrets.
	Pprof bool

	Health  func() bool                       // whether the process works; nil is always
	Ready   func() (ready bool, why []string) // with reasons if not, and what else there is to know; nil is always
	Metrics http.Handler                      // GET /metrics
	Reload  func(context.Context) error       // POST /api/reload; one at a time, not ended by the client's leaving
	Logger  *slog.Logger                      // nil logs nothing

	Events    *Events    // GET /api/events
	Endpoints []Endpoint // the rest of the API
}

func (c *Config) defaults() {
	if c.Health == nil {
		c.Health = func() bool { return true }
	}
	if c.Ready == nil {
		c.Ready = func() (bool, []string) { return true, nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// validate returns the host of Listen.
func (c *Config) validate() (host string, err error) {
	host, _, err = net.SplitHostPort(c.Listen)
	if err != nil {
		return "", fmt.Errorf("admin: listen address %q: write HOST:PORT, for example 127.0.0.1:9690: %w", c.Listen, err)
	}
	if strings.TrimSpace(c.Token) != c.Token {
		return "", errors.New("admin: the token begins or ends with white space, which no client can send")
	}
	if !loopback(host) && !c.guarded() {
		return "", fmt.Errorf("admin: listen address %q: %w; set one, or listen to 127.0.0.1", c.Listen, ErrInsecure)
	}
	return host, nil
}

// guarded reports whether callers must prove who they are.
func (c *Config) guarded() bool { return c.Token != "" || c.ClientCAFile != "" }

// loopback reports whether host can only mean this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
