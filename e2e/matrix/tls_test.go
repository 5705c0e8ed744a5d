package matrix

import (
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testkit"
)

// TestF23TLS has two hosts of different names, each with a certificate of its own
// name alone: the router goes from one to the other and back, which a name remembered
// from the dial before would forbid. Then its own certificate expires: the broker
// refuses it at the next connection, the error names host and cause, and a renewed
// certificate is taken without a restart.
func TestF23TLS(t *testing.T) {
	t.Parallel()
	n := rabbitnode.Shared(t)
	ca := testkit.NewAuthority(t, "authority")
	ca.Issue(t, "localhost", server(&x509.Certificate{DNSNames: []string{"localhost"}}))
	ca.Issue(t, "127.0.0.1", server(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}))
	client := func(expires time.Time) {
		ca.Issue(t, "router", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: expires})
	}
	client(time.Now().Add(time.Hour))

	var proxies []*harness.Proxy
	var hosts, urls []string
	for _, name := range []string{"localhost", "127.0.0.1"} {
		p := harness.NewProxy(t, listenTLS(t, n, ca, name))
		_, port, _ := net.SplitHostPort(p.Addr())
		host := net.JoinHostPort(name, port)
		proxies, hosts, urls = append(proxies, p), append(hosts, host), append(urls, "amqps://guest:guest@"+host+"/")
	}
	tr := begin(t, n, 8_000, single)
	tr.Broker += alert
	text := fmt.Sprintf("[broker.tls]\nca_file = %q\ncert_file = %q\nkey_file = %q\n", ca.Cert("authority"), ca.Cert("router"), ca.Key("router"))
	proxies[1].Up(false)
	tr.BeginWith(strings.Join(urls, ","), text+harness.Chain(tr.Route, tr.In, tr.Out, byKey...))

	each(tr, 5, func(i int) {
		if i == 2 {
			tr.Struck("the client's certificate expired")
			client(time.Now().Add(-time.Minute))
			cut(t, proxies)
			for _, host := range hosts {
				tr.Router.AwaitUnready(fmt.Sprintf("connect to %s: ", host))
			}
			tr.Router.AwaitUnready("expired certificate")
			proxies[0].Up(false)
			client(time.Now().Add(time.Hour))
			tr.Recovered()
			return
		}
		tr.Struck("the host in use lost")
		proxies[(i+1)%2].Up(true)
		proxies[i%2].Up(false)
		tr.Recovered()
	})
	tr.End()
}

// cut ends all connections through the proxies, which then take new ones.
func cut(t *testing.T, proxies []*harness.Proxy) {
	t.Helper()
	for _, up := range []bool{false, true} {
		for _, p := range proxies {
			p.Up(up)
		}
	}
}

func server(c *x509.Certificate) *x509.Certificate {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return c
}

// listenTLS has a running node listen at one more address, with the certificate of
// that name, for clients that have one of the same authority, and returns it.
func listenTLS(t *testing.T, n *rabbitnode.Node, ca *testkit.Authority, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	eval(t, n, fmt.Sprintf(`rabbit_networking:ensure_ssl(), ok = rabbit_networking:start_ssl_listener({"127.0.0.1", %s},
		[{cacertfile, %q}, {certfile, %q}, {keyfile, %q}, {verify, verify_peer}, {fail_if_no_peer_cert, true}], 4)`,
		port, ca.Cert("authority"), ca.Cert(name), ca.Key(name)))
	return addr
}
