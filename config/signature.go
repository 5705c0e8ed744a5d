package config

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strconv"
	"strings"
)

const (
	signatureSuffix  = ".sig"
	maxSignatureFile = 1 << 10
)

// checkSigners reports keys that no signature can be checked with.
func (c *Config) checkSigners(b *binder) {
	at := []string{"process", "signers"}
	for i, text := range c.Process.Signers {
		if _, err := signer(text); err != nil {
			b.refuse(append(at, strconv.Itoa(i)), "write what `openssl pkey -pubout` prints for an Ed25519 key, or the line between BEGIN and END", "%s", err)
		}
	}
	if _, written := b.doc.find(at); written && len(c.Process.Signers) == 0 {
		b.refuse(at, "name a key, or leave it out to load filters without signature", "names no key")
	}
}

// signer reads a public key: PEM, or the base64 in it.
func signer(text string) (ed25519.PublicKey, error) {
	var der []byte
	if block, rest := pem.Decode([]byte(text)); block != nil && len(bytes.TrimSpace(rest)) == 0 {
		der = block.Bytes
	} else if der, _ = base64.StdEncoding.DecodeString(strings.TrimSpace(text)); len(der) == 0 {
		return nil, errors.New("neither PEM nor base64")
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, errors.New("not a public key")
	}
	if key, ok := key.(ed25519.PublicKey); ok {
		return key, nil
	}
	return nil, errors.New("not an Ed25519 key")
}

// verify checks that a filter's module is signed by one of process.signers, if
// there are any. It is the configuration that asks for a signature, never the
// module: one whose signature was taken away is refused like one whose
// signature is wrong.
func (c *Config) verify(at []string, path string, module []byte) error {
	if len(c.Process.Signers) == 0 {
		return nil
	}
	const hint = "openssl pkeyutl -sign -rawin -inkey KEY.pem -in MODULE -out MODULE" + signatureSuffix
	file := path + signatureSuffix
	data, _, err := readFile(c.open(file))(maxSignatureFile)
	if err != nil {
		return c.Errorf(at, hint, "process.signers asks for a signature, and %s cannot be read: %w", quote(file), reasonOf(err))
	}
	if len(data) != ed25519.SignatureSize {
		data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
		if err != nil || len(data) != ed25519.SignatureSize {
			return c.Errorf(at, hint, "%s holds no Ed25519 signature: 64 bytes, or those in base64", quote(file))
		}
	}
	for _, text := range c.Process.Signers {
		if key, err := signer(text); err == nil && ed25519.Verify(key, module, data) {
			return nil
		}
	}
	return c.Errorf(at, "sign it anew if it is the right module", "%s is not the signature of %s by any of process.signers", quote(file), quote(path))
}
