package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/wasmrouter/router/config"
)

// Options say where the listener is and how to reach it.
type Options struct {
	// Config is the router's configuration: its admin table has the address, the
	// token and the certificate. "" is none. One that cannot be used is an error
	// unless Address is set, so that a router can be asked whatever became of the
	// file since it started.
	Config string
	// Address overrides the address of the configuration: HOST:PORT, or a URL.
	Address string
	// Token overrides the token of the configuration.
	Token string
	// CAFile names a PEM file with authorities to trust besides the system's and
	// the certificate of the configuration.
	CAFile string
	// CertFile and KeyFile name the PEM files of a certificate to show, for a
	// listener that asks for one. Both or none are set.
	CertFile, KeyFile string
}

const (
	dialTimeout   = 5 * time.Second
	answerTimeout = time.Minute
)

// Open returns a client; it connects when it is used.
func Open(o Options) (*Client, error) {
	c := &Client{token: o.Token}
	admin := config.Default().Config.Admin
	if o.Config != "" {
		cfg, _, err := config.Load(o.Config, config.Options{})
		switch {
		case err != nil && o.Address == "":
			return nil, errors.Join(err, errors.New("a running router can be asked without the file: --admin HOST:PORT"))
		case err != nil:
			c.file = o.Config
		case o.Address == "" && cfg.Admin.Listen == "":
			return nil, cfg.Errorf([]string{"admin", "listen"}, "set it, and start the router again", "this router has no admin listener")
		default:
			admin = cfg.Admin
		}
	}
	if c.token == "" {
		c.token = admin.Token.Reveal()
	}
	secure, err := tlsOf(o, admin.CertFile)
	if err != nil {
		return nil, err
	}
	if c.base, err = base(o.Address, admin.Listen, secure != nil); err != nil {
		return nil, err
	}
	c.http = &http.Client{Transport: &http.Transport{
		TLSClientConfig: secure, DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, ResponseHeaderTimeout: answerTimeout,
	}}
	return c, nil
}

// base returns the URL that paths follow. An address that was given is checked;
// the configuration's has been.
func base(given, listen string, secure bool) (string, error) {
	wrong := func() error {
		return fmt.Errorf("--admin %q is no address; write HOST:PORT such as 127.0.0.1:9690, or a URL such as https://router.example:9690", given)
	}
	if strings.Contains(given, "://") {
		u, err := url.Parse(given)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return "", wrong()
		}
		return strings.TrimSuffix(given, "/"), nil
	}
	address := given
	if address == "" {
		address = listen
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", wrong()
	}
	// An address to listen to at all of the machine's is none to connect to.
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		address = net.JoinHostPort("localhost", port)
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	u := url.URL{Scheme: scheme, Host: address}
	if _, err := url.Parse(u.String()); err != nil {
		return "", wrong()
	}
	return u.String(), nil
}

// tlsOf trusts what the options name and the listener's own certificate besides
// the system's authorities, and shows the certificate of the options. It is nil
// where there is nothing of that.
func tlsOf(o Options, own string) (*tls.Config, error) {
	if own == "" && o.CAFile == "" && o.CertFile == "" {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, file := range []struct{ what, path string }{{"admin.cert_file", own}, {"--ca", o.CAFile}} {
		if file.path == "" {
			continue
		}
		text, err := os.ReadFile(file.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.what, err)
		}
		if !roots.AppendCertsFromPEM(text) && file.path == o.CAFile {
			return nil, fmt.Errorf("%s: %s holds no certificate", file.what, file.path)
		}
	}
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert, --key: %w", err)
		}
		// It is shown whichever authorities the listener names: then its answer
		// tells which is wanted.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return cfg, nil
}
