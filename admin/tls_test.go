package admin_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/internal/testkit"
)

// here is a certificate for 127.0.0.1.
func here(use x509.ExtKeyUsage) *x509.Certificate {
	return &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{use}}
}

// secureGet asks over TLS, with the certificate in the files if there are any,
// and returns the name in the server's.
func secureGet(t *testing.T, s *admin.Server, caFile, path, token string, files ...string) (code int, name string, err error) {
	t.Helper()
	ca, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AppendCertsFromPEM(ca)
	if len(files) == 2 {
		pair, err := tls.LoadX509KeyPair(files[0], files[1])
		if err != nil {
			t.Fatal(err)
		}
		// Shown whoever is asked for.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://127.0.0.1:"+port+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "router.svc"
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: cfg}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode, resp.TLS.PeerCertificates[0].Subject.CommonName, nil
}

func TestCallersShowACertificate(t *testing.T) {
	ours, theirs := testkit.NewAuthority(t, "ours"), testkit.NewAuthority(t, "theirs")
	ours.Issue(t, "server", here(x509.ExtKeyUsageServerAuth))
	ours.Issue(t, "operator", here(x509.ExtKeyUsageClientAuth))
	theirs.Issue(t, "stranger", here(x509.ExtKeyUsageClientAuth))
	ca, operator := ours.Cert("ours"), []string{ours.Cert("operator"), ours.Key("operator")}
	cfg := full()
	cfg.Listen, cfg.CertFile, cfg.KeyFile, cfg.ClientCAFile = "0.0.0.0:0", ours.Cert("server"), ours.Key("server"), ca
	s := start(t, cfg)
	if code, _, err := secureGet(t, s, ca, "/metrics", "", operator...); code != 200 {
		t.Errorf("the operator: %d, %v", code, err)
	}
	for what, files := range map[string][]string{"nothing": nil, "a stranger's": {theirs.Cert("stranger"), theirs.Key("stranger")}} {
		if code, _, err := secureGet(t, s, ca, "/healthz", "", files...); err == nil {
			t.Errorf("with %s: %d", what, code)
		}
	}
	cfg.Token = "s3cret"
	s = start(t, cfg)
	if code, _, err := secureGet(t, s, ca, "/metrics", "", operator...); code != 401 {
		t.Errorf("the certificate without the token: %d, %v", code, err)
	}
	if code, _, err := secureGet(t, s, ca, "/metrics", "s3cret", operator...); code != 200 {
		t.Errorf("both: %d, %v", code, err)
	}
}

func TestTheCertificateIsRenewed(t *testing.T) {
	ours := testkit.NewAuthority(t, "ours")
	ours.Issue(t, "first", here(x509.ExtKeyUsageServerAuth))
	ours.Issue(t, "second", here(x509.ExtKeyUsageServerAuth))
	cfg := full()
	cfg.CertFile, cfg.KeyFile = ours.Cert("first"), ours.Key("first")
	s := start(t, cfg)
	if code, name, err := secureGet(t, s, ours.Cert("ours"), "/metrics", ""); code != 200 || name != "first" {
		t.Errorf("%d, %q, %v", code, name, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addr()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	if resp, err := tr.RoundTrip(req); err != nil {
		t.Error(err)
	} else if _ = resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: %d", resp.StatusCode)
	}
	if err := errors.Join(os.Rename(ours.Cert("second"), cfg.CertFile), os.Rename(ours.Key("second"), cfg.KeyFile)); err != nil {
		t.Fatal(err)
	}
	if code, name, err := secureGet(t, s, ours.Cert("ours"), "/metrics", ""); code != 200 || name != "second" {
		t.Errorf("%d, %q, %v", code, name, err)
	}
}

func TestFilesOfTLSAreReadAtOnce(t *testing.T) {
	ours := testkit.NewAuthority(t, "ours")
	cert, key := ours.Cert("ours"), ours.Key("ours")
	for want, cfg := range map[string]admin.Config{
		"certificate: ":            {CertFile: cert, KeyFile: filepath.Join(t.TempDir(), "none")},
		"authorities of callers: ": {CertFile: cert, KeyFile: key, ClientCAFile: key},
	} {
		cfg.Listen = "127.0.0.1:0"
		if _, err := admin.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
