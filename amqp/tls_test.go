package amqp_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testkit"
)

// Only RabbitMQ has TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	ours, theirs := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "theirs")
	server := &x509.Certificate{
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"broker.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	ours.Issue(t, "server", server)
	client := func() *x509.Certificate {
		return &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	}
	ours.Issue(t, "router", client())
	ours.Issue(t, "unknown", client())
	expired := client()
	expired.NotAfter = time.Now().Add(-time.Minute)
	ours.Issue(t, "expired", expired)
	theirs.Issue(t, "router", client())

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	node, err := rabbitnode.Start(ctx, rabbitnode.Config{
		Plugins: []string{"rabbitmq_auth_mechanism_ssl"},
		Conf: strings.Join([]string{
			"listeners.ssl.default = " + addr,
			"ssl_options.cacertfile = " + ours.Cert("ours"),
			"ssl_options.certfile = " + ours.Cert("server"),
			"ssl_options.keyfile = " + ours.Key("server"),
			"ssl_options.verify = verify_peer",
			"ssl_options.fail_if_no_peer_cert = true",
			"ssl_cert_login_from = common_name",
			"auth_mechanisms.1 = PLAIN",
			"auth_mechanisms.2 = EXTERNAL",
		}, "\n") + "\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Stop()
	for _, call := range []string{
		`rabbit_auth_backend_internal:add_user(<<"router">>, <<"unused">>, <<"test">>)`,
		`rabbit_auth_backend_internal:set_permissions(<<"router">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)`,
	} {
		if _, err := node.Eval(ctx, call); err != nil {
			t.Fatal(err)
		}
	}

	good := amqp.TLSConfig{CAFile: ours.Cert("ours"), CertFile: ours.Cert("router"), KeyFile: ours.Key("router")}
	with := func(f func(*amqp.TLSConfig)) amqp.TLSConfig {
		c := good
		f(&c)
		return c
	}
	_, port, _ := net.SplitHostPort(addr)
	for _, tt := range []struct {
		name string
		url  string
		tls  amqp.TLSConfig
		want string // in the error; empty for success
	}{
		{"password", "amqps://guest:guest@" + addr, good, ""},
		{"certificate", "amqps://" + addr, with(func(c *amqp.TLSConfig) { c.External = true }), ""},
		{"another name", "amqps://guest:guest@" + addr, with(func(c *amqp.TLSConfig) { c.ServerName = "broker.test" }), ""},
		{"wrong name", "amqps://guest:guest@localhost:" + port, good, "not localhost"},
		{"wrong name asked for", "amqps://guest:guest@" + addr, with(func(c *amqp.TLSConfig) { c.ServerName = "other.test" }), "other.test"},
		{"unverified", "amqps://guest:guest@localhost:" + port, with(func(c *amqp.TLSConfig) { c.InsecureSkipVerify = true }), ""},
		{"unknown authority", "amqps://guest:guest@" + addr, with(func(c *amqp.TLSConfig) { c.CAFile = theirs.Cert("theirs") }), "unknown authority"},
		{"no client certificate", "amqps://guest:guest@" + addr, with(func(c *amqp.TLSConfig) { c.CertFile, c.KeyFile = "", "" }), "connect to " + addr},
		{"client of another authority", "amqps://guest:guest@" + addr, with(func(c *amqp.TLSConfig) { c.CertFile, c.KeyFile = theirs.Cert("router"), theirs.Key("router") }), "connect to " + addr},
		{"expired client", "amqps://guest:guest@" + addr, with(func(c *amqp.TLSConfig) { c.CertFile, c.KeyFile = ours.Cert("expired"), ours.Key("expired") }), "connect to " + addr},
		{"unknown user", "amqps://" + addr, with(func(c *amqp.TLSConfig) {
			c.External, c.CertFile, c.KeyFile = true, ours.Cert("unknown"), ours.Key("unknown")
		}), "refused"},
		{"plain to TLS", "amqp://" + addr, good, "connect to " + addr},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroker(t, nil, amqp.Config{URLs: []string{tt.url}, TLS: tt.tls})
			err := b.Connect(ctx)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("connect = %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("connect = %v, want %q in it", err, tt.want)
			}
		})
	}

	t.Run("two hosts of different names", func(t *testing.T) {
		// The name is that of each dial, also after a dial to the other host.
		b := newBroker(t, nil, amqp.Config{URLs: []string{"amqps://guest:guest@" + addr, "amqps://guest:guest@localhost:" + port}, TLS: good})
		for range 3 {
			err := b.Connect(ctx)
			if err != nil && !strings.Contains(err.Error(), "localhost") {
				t.Errorf("connect = %v", err)
			}
			if c := stat(b, "send"); c.Connected && c.Host != addr {
				t.Errorf("connected to %s, whose name is not in the certificate", c.Host)
			}
		}
	})
	t.Run("messages cross", func(t *testing.T) {
		name := rabbitnode.Queue(t)
		declareQueue(t, channel(t, node.URL()), name, nil)
		b := newBroker(t, nil, amqp.Config{URLs: []string{"amqps://" + addr}, TLS: with(func(c *amqp.TLSConfig) { c.External = true })})
		s := b.Sender("test")
		defer s.Close()
		for i := range 100 {
			if err := send(ctx, t, s, queue(name), message(strings.Repeat(fmt.Sprint(i), 1000))); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTLSFilesAreCheckedAtOnce(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := errors.Join(os.WriteFile(empty, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]amqp.TLSConfig{
		"no such file":     {CAFile: filepath.Join(dir, "none.pem")},
		"no certificate":   {CAFile: empty},
		"key missing":      {CertFile: empty},
		"not a key pair":   {CertFile: empty, KeyFile: empty},
		"external, no key": {External: true},
	} {
		if _, err := amqp.New(amqp.Config{URLs: []string{"amqps://127.0.0.1"}, TLS: c}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	ours := testkit.NewAuthority(t, "ours")
	ours.Issue(t, "old", &x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	pair, err := tls.LoadX509KeyPair(ours.Cert("old"), ours.Key("old"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer func() { _ = l.Close() }()
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).HandshakeContext(t.Context()) // the client's error tells
			_ = c.Close()
		}
	})
	b := newBroker(t, nil, amqp.Config{URLs: []string{"amqps://guest:guest@" + l.Addr().String()}, TLS: amqp.TLSConfig{CAFile: ours.Cert("ours")}})
	if err := b.Connect(testContext(t)); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("connect = %v, want the version refused", err)
	}
}
