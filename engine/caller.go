// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"
)

// The certificate of a caller has the same bytes wherever it is made.
var (
	callerFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	callerUntil = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// caller is how gateways show the relay of an engine who they are: a certificate for
// the key whose seed is seed, in hex (secret.LabelRelay). All gateways make the same
// one, and nobody else can.
func caller(seed, refID string) (tls.Certificate, error) {
	raw, err := hex.DecodeString(seed)
	if err != nil || len(raw) != ed25519.SeedSize {
		return tls.Certificate{}, fmt.Errorf("the seed of the key for the relay of engine %s has not %d bytes", refID, ed25519.SeedSize)
	}
	key := ed25519.NewKeyFromSeed(raw)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"}, NotBefore: callerFrom, NotAfter: callerUntil,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the certificate for the relay of engine %s: %w", refID, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// CallerFingerprint is the SHA-256 of the certificate that gateways show the relay of
// the engine of these keys, in hex.
func (k Keys) CallerFingerprint(refID string) (string, error) {
	made, err := caller(k.Relay, refID)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(made.Certificate[0])
	return hex.EncodeToString(sum[:]), nil
}
