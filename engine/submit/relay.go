// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"time"

	"roundhouse/engine"
)

// relayLifetime is longer than any engine runs. Nobody looks at it: gateways know
// the certificate by its hash.
const relayLifetime = 10 * 365 * 24 * time.Hour

// keys is the content of an engine's key file.
func (l *Launcher) keys(launch engine.Launch) (map[string]string, error) {
	keys := map[string]string{"rpc": launch.Keys.RPC, "register": launch.Keys.Register, "control": launch.Keys.Control}
	if l.opts.Store == nil {
		return keys, nil
	}
	keys["zk"] = launch.Keys.Store
	if !l.opts.Relay {
		return keys, nil
	}
	relay, err := relayIdentity(launch.RefID)
	if err != nil {
		return nil, err
	}
	maps.Copy(keys, relay)
	keys["relay.client"], err = launch.Keys.CallerFingerprint(launch.RefID)
	return keys, err
}

// relayIdentity is a new key (PKCS 8) and its certificate (X.509, DER) for the relay
// of an engine, both as base64. Java has no public means of making one.
func relayIdentity(refID string) (map[string]string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the relay: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: refID}, DNSNames: []string{refID},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(relayLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of the relay: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing the key of the relay: %w", err)
	}
	return map[string]string{
		"relay.key":         base64.StdEncoding.EncodeToString(secret),
		"relay.certificate": base64.StdEncoding.EncodeToString(certificate),
	}, nil
}
