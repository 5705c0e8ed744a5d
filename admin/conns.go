package admin

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
)

// maxConns is how many connections there may be at once. Whoever can reach the
// listener could otherwise use up the descriptors that the broker's connections
// need.
const maxConns = 256

// limit closes connections that are more than maxConns. It is the server's
// ConnState.
func (s *Server) limit(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.conns.Add(1) > maxConns {
			_ = c.Close() // StateClosed follows
		}
	case http.StateClosed, http.StateHijacked:
		s.conns.Add(-1)
	}
}

// tls returns how the listener speaks TLS; nil if it does not. The files are
// read once here, so that faults show at once, and the certificate again for
// each connection, so that it can be renewed.
func (c *Config) tls() (*tls.Config, error) {
	if c.CertFile == "" && c.KeyFile == "" && c.ClientCAFile == "" {
		return nil, nil
	}
	if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
		return nil, fmt.Errorf("admin: certificate: %w", err)
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			return &pair, err
		},
	}
	if c.ClientCAFile == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(c.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("admin: authorities of callers: %w", err)
	}
	cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("admin: authorities of callers: %s holds no certificate", c.ClientCAFile)
	}
	return cfg, nil
}
