// Package remote asks the admin listener of a running router.
package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/wasmrouter/router/config"
)

// Options say where the listener is and how to reach it.
type Options struct {
	// Config is the router's configuration: its admin table has the address, the
	// token and the certificates. "" is none.
	Config string
	// Address overrides the address of the configuration: HOST:PORT, or a URL.
	Address string
}

// Client asks one router. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// Open returns a client; it connects when it is used.
func Open(o Options) (*Client, error) {
	admin := config.Default().Config.Admin
	if o.Config != "" {
		cfg, _, err := config.Load(o.Config, config.Options{})
		if err != nil {
			return nil, err
		}
		admin = cfg.Admin
		if o.Address == "" && admin.Listen == "" {
			return nil, cfg.Errorf([]string{"admin", "listen"}, "set it, and start the router again", "this router has no admin listener")
		}
	}
	secure, err := tlsOf(admin)
	if err != nil {
		return nil, err
	}
	return &Client{
		base: base(o.Address, admin), token: admin.Token.Reveal(),
		http: &http.Client{Transport: &http.Transport{
			TLSClientConfig: secure, DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, ResponseHeaderTimeout: answerTimeout,
		}},
	}, nil
}

// Address returns the URL of the listener.
func (c *Client) Address() string { return c.base }

const (
	dialTimeout   = 5 * time.Second
	answerTimeout = time.Minute
)

// base returns the URL that paths follow.
func base(address string, admin config.Admin) string {
	if strings.Contains(address, "://") {
		return strings.TrimSuffix(address, "/")
	}
	if address == "" {
		address = admin.Listen
	}
	// An address to listen to at all of the machine's is none to connect to.
	if host, port, err := net.SplitHostPort(address); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			address = net.JoinHostPort("localhost", port)
		}
	}
	if admin.CertFile != "" {
		return "https://" + address
	}
	return "http://" + address
}

// tlsOf trusts the listener's own certificate besides the system's authorities.
func tlsOf(admin config.Admin) (*tls.Config, error) {
	if admin.CertFile == "" {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	cert, err := os.ReadFile(admin.CertFile)
	if err != nil {
		return nil, fmt.Errorf("admin.cert_file: %w", err)
	}
	roots.AppendCertsFromPEM(cert)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// ErrNobody is wrapped by the error of a call to an address where nobody listens.
var ErrNobody = errors.New("nobody listens; is the router running, and is that its admin.listen?")

// Error is an answer that the router refused something with.
type Error struct {
	Code int // of HTTP
	Text string
}

// Error returns the router's own words.
func (e *Error) Error() string { return e.Text }

// Call makes a request, such as "POST", "/api/reload", with in as its body unless
// it is nil, and decodes the answer into out unless that is nil. A refusal is an
// [*Error].
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	body, err := c.Stream(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("%s%s: the answer: %w", c.base, path, err)
	}
	return nil
}

// Stream is Call for an answer that the caller reads and closes.
func (c *Client) Stream(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%s: %w", c.base, ErrNobody)
	case err != nil:
		return nil, err
	case resp.StatusCode/100 == 2:
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

// maxRefusal bounds what is read of an answer that is an error.
const maxRefusal = 64 << 10

func refusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil {
		return err
	}
	var answer struct {
		Error string `json:"error"`
	}
	e := &Error{Code: resp.StatusCode, Text: strings.TrimSpace(string(text))}
	if json.Unmarshal(text, &answer) == nil && answer.Error != "" {
		e.Text = answer.Error
	}
	if e.Text == "" {
		e.Text = resp.Status
	}
	return e
}
