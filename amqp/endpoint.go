package amqp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// endpoint is one broker address with what is needed to log in there.
type endpoint struct {
	addr     string // host:port
	host     string // to verify in TLS
	tls      bool
	vhost    string
	username string
	password string
}

// ErrPlaintext is wrapped by [New]'s error for a URL without TLS to a host that
// is not loopback, unless [Config].AllowPlaintext is set.
var ErrPlaintext = errors.New("the password would cross the network in clear")

// endpoints reads the URLs. No error holds any part of a URL's user
// information: net/url and the AMQP library would quote it.
func (c *Config) endpoints() ([]endpoint, error) {
	list := make([]endpoint, 0, len(c.URLs))
	for i, raw := range c.URLs {
		e, err := parseURL(raw)
		if err != nil {
			return nil, fmt.Errorf("broker URL %d: %w", i+1, err)
		}
		if c.Username != "" {
			e.username, e.password = c.Username, c.Password
		} else if c.Password != "" {
			e.password = c.Password
		}
		if c.VHost != "" {
			e.vhost = c.VHost
		}
		switch {
		case c.TLS.External && !e.tls:
			return nil, fmt.Errorf("broker URL %d (%s): login by client certificate needs amqps://", i+1, e.addr)
		case c.TLS.External && c.TLS.CertFile == "":
			return nil, errors.New("login by client certificate needs a certificate file and a key file")
		case !e.tls && !c.AllowPlaintext && !loopback(e.host):
			return nil, fmt.Errorf("broker URL %d (%s): %w; use amqps://, or allow plaintext: allow_plaintext = true in [broker], or the flag --allow-plaintext", i+1, e.addr, ErrPlaintext)
		}
		list = append(list, e)
	}
	return list, nil
}

var errUserInfo = errors.New("the user name or password is not properly percent-encoded; write %25 for %, %2F for /, %3A for :, %40 for @ (also in a virtual host), or use the separate keys for them")

func parseURL(raw string) (endpoint, error) {
	e := endpoint{vhost: "/", username: "guest", password: "guest"}
	scheme, rest, ok := strings.Cut(raw, "://")
	port := "5672"
	switch {
	case !ok:
		return e, errors.New("no scheme; write it as amqp://host:port/vhost or amqps://host:port/vhost")
	case scheme == "amqps":
		e.tls, port = true, "5671"
	case scheme != "amqp":
		return e, errors.New("unknown scheme; the schemes are amqp and amqps")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, pass, hasPass := strings.Cut(authority[:i], ":")
		authority = authority[i+1:]
		var err1, err2 error
		e.username, err1 = url.PathUnescape(user)
		if hasPass {
			e.password, err2 = url.PathUnescape(pass)
		}
		if err1 != nil || err2 != nil {
			return e, errUserInfo
		}
	} else if strings.Contains(path, "@") {
		return e, errUserInfo // a slash or question mark in the password, whose start would pass for a port
	}
	host, p, err := net.SplitHostPort(authority)
	if err != nil { // no port
		host, p = strings.TrimSuffix(strings.TrimPrefix(authority, "["), "]"), port
		if strings.Contains(host, ":") && (!strings.HasPrefix(authority, "[") || !strings.HasSuffix(authority, "]")) {
			return e, errors.New("an IPv6 address is written in brackets: amqp://[::1]:5672/")
		}
	}
	if host == "" {
		return e, errors.New("no host")
	}
	if !isPort(p) {
		return e, errors.New("the port is not a number from 1 to 65535")
	}
	e.host, e.addr = host, net.JoinHostPort(host, p)
	if strings.ContainsAny(path, "?#") {
		return e, errors.New("parameters in the URL are not supported; use the configuration's keys; in a virtual host write %3F for ? and %23 for #")
	}
	if vhost := strings.TrimPrefix(path, "/"); vhost != "" {
		if e.vhost, err = url.PathUnescape(vhost); err != nil {
			return e, errors.New("the virtual host is not properly percent-encoded")
		}
	}
	return e, nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// client returns a fresh TLS configuration for one dial to host; files are
// read again, so that renewed certificates are used.
func (t *TLSConfig) client(host string) (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		InsecureSkipVerify: t.InsecureSkipVerify, // only when asked for by name; New warns
	}
	if t.ServerName != "" {
		cfg.ServerName = t.ServerName
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s: no PEM certificate in it", t.CAFile)
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}
