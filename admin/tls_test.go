package admin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/admin"
)

// issuer makes certificates; the first is its own.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

// issue writes a certificate for 127.0.0.1 and its key into files of dir.
func (a *issuer) issue(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.n++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if a.cert == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		a.cert, a.key = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.key == key {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// secureGet asks over TLS, with the certificate in the files if there are any.
func secureGet(t *testing.T, s *admin.Server, ca *issuer, path, token string, files ...string) (int, string, error) {
	t.Helper()
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(ca.cert)
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
	dir := t.TempDir()
	ca, other := &issuer{}, &issuer{}
	caFile, _ := ca.issue(t, dir, "ca")
	other.issue(t, dir, "other")
	cert, key := ca.issue(t, dir, "server")
	clientCert, clientKey := ca.issue(t, dir, "operator")
	strangerCert, strangerKey := other.issue(t, dir, "stranger")
	cfg := full()
	cfg.Listen, cfg.CertFile, cfg.KeyFile, cfg.ClientCAFile = "0.0.0.0:0", cert, key, caFile
	s := start(t, cfg)
	if code, _, err := secureGet(t, s, ca, "/metrics", "", clientCert, clientKey); code != 200 {
		t.Errorf("the operator: %d, %v", code, err)
	}
	for what, files := range map[string][]string{"nothing": nil, "a stranger's": {strangerCert, strangerKey}} {
		if code, _, err := secureGet(t, s, ca, "/healthz", "", files...); err == nil {
			t.Errorf("with %s: %d", what, code)
		}
	}
	cfg.Token = "s3cret"
	s = start(t, cfg)
	if code, _, err := secureGet(t, s, ca, "/metrics", "", clientCert, clientKey); code != 401 {
		t.Errorf("the certificate without the token: %d, %v", code, err)
	}
	if code, _, err := secureGet(t, s, ca, "/metrics", "s3cret", clientCert, clientKey); code != 200 {
		t.Errorf("both: %d, %v", code, err)
	}
}

func TestTheCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	ca := &issuer{}
	ca.issue(t, dir, "ca")
	cert, key := ca.issue(t, dir, "first")
	cfg := full()
	cfg.CertFile, cfg.KeyFile = cert, key
	s := start(t, cfg)
	if code, name, err := secureGet(t, s, ca, "/metrics", ""); code != 200 || name != "first" {
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
	nextCert, nextKey := ca.issue(t, dir, "second")
	for from, to := range map[string]string{nextCert: cert, nextKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if code, name, err := secureGet(t, s, ca, "/metrics", ""); code != 200 || name != "second" {
		t.Errorf("%d, %q, %v", code, name, err)
	}
}

func TestFilesOfTLSAreReadAtOnce(t *testing.T) {
	dir := t.TempDir()
	cert, key := (&issuer{}).issue(t, dir, "ca")
	for want, cfg := range map[string]admin.Config{
		"certificate: ":            {CertFile: cert, KeyFile: filepath.Join(dir, "none")},
		"authorities of callers: ": {CertFile: cert, KeyFile: key, ClientCAFile: key},
	} {
		cfg.Listen = "127.0.0.1:0"
		if s, err := admin.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
			_ = s.Close(context.Background())
		}
	}
}
