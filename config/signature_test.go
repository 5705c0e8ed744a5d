package config

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keyPair returns a public key as base64 and as PEM, and what signs with it.
func keyPair(t *testing.T) (line, text string, private ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), private
}

// Whatever is not signed as the configuration asks is refused, first of all what
// has no signature.
func TestOnlySignedFiltersAreRead(t *testing.T) {
	const module = "the module"
	line, text, private := keyPair(t)
	other, _, stranger := keyPair(t)
	good := string(ed25519.Sign(private, []byte(module)))
	inline, block := "['"+line+"']", "['''\n"+text+"''']"
	for name, test := range map[string]struct{ signers, signature, want string }{
		"signed":                {inline, good, ""},
		"signed, in base64":     {inline, base64.StdEncoding.EncodeToString([]byte(good)) + "\n", ""},
		"the key as PEM":        {block, good, ""},
		"the second key":        {"['" + other + "', '" + line + "']", good, ""},
		"no signature":          {inline, "", `process.signers asks for a signature, and "f.wasm.sig" cannot be read: no such file`},
		"an empty signature":    {inline, " ", `"f.wasm.sig" holds no Ed25519 signature`},
		"a short signature":     {inline, good[:63], `"f.wasm.sig" holds no Ed25519 signature`},
		"a long signature":      {inline, good + "x", `"f.wasm.sig" holds no Ed25519 signature`},
		"a huge file":           {inline, strings.Repeat("x", 2<<10), "too large"},
		"zeros":                 {inline, strings.Repeat("\x00", 64), "is not the signature of"},
		"another key":           {inline, string(ed25519.Sign(stranger, []byte(module))), "is not the signature of"},
		"another module's":      {inline, string(ed25519.Sign(private, []byte(module+"x"))), "is not the signature of"},
		"nobody asks":           {"", "", ""},
		"nobody asks, it's bad": {"", "junk", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "f.wasm", module, 0o600)
			if test.signature != "" {
				write(t, dir, "f.wasm.sig", test.signature, 0o600)
			}
			more := ""
			if test.signers != "" {
				more = "[process]\nsigners = " + test.signers + "\n"
			}
			c, err := withFilter(t, dir, "f.wasm", more)
			if err != nil {
				t.Fatal(err)
			}
			data, err := c.ReadFilter("f")
			switch {
			case test.want == "" && (err != nil || string(data) != module):
				t.Errorf("%q, %v", data, err)
			case test.want != "" && (err == nil || data != nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%q, %v; want %q", data, err, test.want)
			}
		})
	}
}

// A new version that is tried is held to what filters are.
func TestOnlyASignedShadowIsRead(t *testing.T) {
	line, _, private := keyPair(t)
	dir := t.TempDir()
	for _, name := range []string{"f.wasm", "g.wasm"} {
		write(t, dir, name, name, 0o600)
	}
	write(t, dir, "f.wasm.sig", string(ed25519.Sign(private, []byte("f.wasm"))), 0o600)
	c, err := withFilter(t, dir, "f.wasm", "[filters.f.shadow]\npath = \"g.wasm\"\n[process]\nsigners = ['"+line+"']\n")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := c.ReadShadow("f"); err == nil || !strings.Contains(err.Error(), `filters.f.shadow.path: process.signers asks for a signature, and "g.wasm.sig"`) {
		t.Errorf("%q, %v", data, err)
	}
	write(t, dir, "g.wasm.sig", string(ed25519.Sign(private, []byte("g.wasm"))), 0o600)
	if data, err := c.ReadShadow("f"); err != nil || string(data) != "g.wasm" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := withFilter(t, dir, "f.wasm", "sha256 = \""+strings.Repeat("0", 64)+"\"\n[filters.f.shadow]\npath = \"g.wasm\"\n[process]\nrequire_pins = true\n"); err == nil || !strings.Contains(err.Error(), "filters.f.shadow: has no sha256") {
		t.Errorf("without a pin: %v", err)
	}
}

func TestASignatureLiesBesideItsModule(t *testing.T) {
	line, _, private := keyPair(t)
	dir := t.TempDir()
	write(t, dir, "etc/f.wasm", "m", 0o600)
	outside := write(t, dir, "f.sig", string(ed25519.Sign(private, []byte("m"))), 0o600)
	if err := os.Symlink(outside, filepath.Join(dir, "etc", "f.wasm.sig")); err != nil {
		t.Fatal(err)
	}
	c, err := withFilter(t, filepath.Join(dir, "etc"), "f.wasm", "[process]\nsigners = ['"+line+"']\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadFilter("f"); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Error(err)
	}
}

// A policy that cannot be carried out is no policy that is left out.
func TestKeysOfSignersAreChecked(t *testing.T) {
	line, text, _ := keyPair(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for signers, want := range map[string]string{
		"[]":                    "process.signers: names no key",
		"['']":                  "process.signers[0]: neither PEM nor base64",
		"['" + line + "', '-']": "process.signers[1]: neither PEM nor base64",
		"['" + line[:20] + "']": "process.signers[0]: not a public key",
		"['" + base64.StdEncoding.EncodeToString(der) + "']": "process.signers[0]: not an Ed25519 key",
		"['''" + text + text + "''']":                        "process.signers[0]: neither PEM nor base64",
	} {
		_, err := withFilter(t, t.TempDir(), "f.wasm", "[process]\nsigners = "+signers+"\n")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30s: %v; want %s", signers, err, want)
		}
	}
}
