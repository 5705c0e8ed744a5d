package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/internal/testkit"
)

// A router that runs is asked whatever has become of its configuration since, and
// by callers that have to show a certificate.
func TestARouterIsAskedWithoutItsConfiguration(t *testing.T) {
	ca := testkit.NewAuthority(t, "ca")
	for name, use := range map[string]x509.ExtKeyUsage{"router": x509.ExtKeyUsageServerAuth, "operator": x509.ExtKeyUsageClientAuth} {
		ca.Issue(t, name, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{use}})
	}
	listen := testkit.FreeAddress(t)
	p := &process{t: t, path: filepath.Join(t.TempDir(), "router.toml")}
	p.write(fmt.Sprintf(`[broker]
url = "embedded://%s"
[admin]
listen = %q
bodies = true
token = "of-the-admin"
cert_file = %q
key_file = %q
client_ca_file = %q
[queues.in]
[queues.out]
[filters.f]
path = "stock:content-router"
config = { field = "body:type", routes = { x = "queue:out" } }
[filters.f.shadow]
path = "stock:content-router"
config = { field = "body:type", routes = { x = "queue:in" } }
[routes.r]
listen = "in"
filters = ["f"]
allow = ["queue:*"]
`, testkit.FreeAddress(t), listen, ca.Cert("router"), ca.Key("router"), ca.Cert("ca")))
	p.begin(t.TempDir(), nil, "run", "-c", p.path)
	p.await("consuming")
	shown := []string{"--cert", ca.Cert("operator"), "--key", ca.Key("operator")}
	check := func(code int, want string, args ...string) {
		t.Helper()
		if got, out, errs := asking(t, args...); got != code || !strings.Contains(out+errs, want) {
			t.Errorf("router %s: %d, not %d with %q:\n%s%s", strings.Join(args, " "), got, code, want, out, errs)
		}
	}
	check(exitOK, ": ready, up ", append([]string{"status", "-c", p.path}, shown...)...)
	check(exitFailed, "--cert FILE and --key FILE name yours", "status", "-c", p.path)

	p.write("[routes.r]\nlisten = 5\n")
	recorded := filepath.Join(t.TempDir(), "r.rec")
	for _, file := range []string{p.path, filepath.Join(t.TempDir(), "none.toml")} {
		known := append([]string{"-c", file, "--admin", listen, "--ca", ca.Cert("ca")}, shown...)
		ask := func(code int, want string, args ...string) {
			t.Helper()
			check(code, want, append(args, known...)...)
		}
		t.Setenv("ROUTER_ADMIN_TOKEN", "")
		ask(exitFailed, file+" cannot be used (router check -c tells why), so set ROUTER_ADMIN_TOKEN", "status")
		t.Setenv("ROUTER_ADMIN_TOKEN", "of-the-admin")
		ask(exitOK, ": ready, up ", "status")
		ask(exitOK, "shadow since ", "filter", "shadow", "f")
		ask(exitOK, "promoted since ", "filter", "promote", "f")
		ask(exitOK, "rolled-back since ", "filter", "rollback", "f")
		ask(exitOK, "shadow since ", "filter", "promote", "f")
		ask(exitFailed, "nothing was recorded: no message of the routes", "record", "--route", "r", "--for", "1ms", "--out", recorded)
		if _, err := os.Stat(recorded); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a file is left", err)
		}
	}
	check(exitOK, " r consuming received=", append([]string{"top", "-n", "1", "--admin", "https://" + listen, "-c", p.path, "--ca", ca.Cert("ca")}, shown...)...)
	check(exitFailed, "the listener speaks HTTPS: write --admin https://HOST:PORT", "status", "--admin", listen, "-c", p.path)
	check(exitFailed, "--ca FILE names the authority to trust", append([]string{"status", "--admin", "https://" + listen, "-c", p.path}, shown...)...)
	check(exitUsage, "a running router can be asked without the file: --admin HOST:PORT", "status", "-c", p.path)
}

// What does not answer as a router does is told on one line, with the way out.
func TestWhatIsNoRouterIsTold(t *testing.T) {
	speaker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := speaker.Accept()
			if err != nil {
				return
			}
			_, err = c.Write([]byte("AMQP\x00\x00\x09\x01"))
			if errors.Join(err, c.Close()) != nil {
				continue
			}
		}
	}()
	t.Cleanup(func() { _ = speaker.Close(); <-done })
	for address, want := range map[string]string{
		"foo":                                `--admin "foo" is no address; write HOST:PORT such as 127.0.0.1:9690, or a URL`,
		"foo:bar":                            `--admin "foo:bar" is no address`,
		"amqp://h":                           `--admin "amqp://h" is no address`,
		speaker.Addr().String():              "; is that the router's admin.listen?",
		"https://" + speaker.Addr().String(): "; is that the router's admin.listen?",
	} {
		code, out, errs := asking(t, "status", "--admin", address)
		wantCode := exitFailed
		if strings.HasPrefix(want, "--admin") {
			wantCode = exitUsage
		}
		if code != wantCode || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: %d\n%s%s", address, code, out, errs)
		}
	}
}
