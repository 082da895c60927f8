// SPDX-License-Identifier: Apache-2.0

package tlsx

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// The types of keystores, in the spelling of Java.
const (
	PKCS12 = "PKCS12"
	JKS    = "JKS"
	jceks  = "JCEKS"
)

// errPassword is a keystore that the password does not open.
var errPassword = errors.New("wrong password")

// typeOf tells the type of a keystore by its first bytes.
func typeOf(text []byte) string {
	switch {
	case bytes.HasPrefix(text, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return JKS
	case bytes.HasPrefix(text, []byte{0xce, 0xce, 0xce, 0xce}):
		return jceks
	}
	return PKCS12
}

func (f Files) loadKeystore() (*tls.Certificate, error) {
	text, st, err := readFile(f.Keystore)
	if err != nil {
		return nil, fault(PartKeystore, "the keystore cannot be read (%v): correct the path or the permissions", err)
	}
	if err := checkPrivate(PartKeystore, f.Keystore, st); err != nil {
		return nil, err
	}
	found := typeOf(text)
	if f.Type != "" && f.Type != found {
		return nil, fault(PartType, "%s is a keystore of type %s, not %s: correct the type or leave it out", f.Keystore, found, f.Type)
	}
	decode := decodePKCS12
	switch found {
	case JKS:
		decode = decodeJKS
	case jceks:
		return nil, fault(PartKeystore, "%s is a keystore of type JCEKS, which only Java reads: convert it with "+
			"keytool -importkeystore -deststoretype pkcs12", f.Keystore)
	}
	pair, err := decode(text, f.Password)
	switch {
	case errors.Is(err, errPassword):
		return nil, fault(PartPassword, "the password does not open %s, or the file is damaged", f.Keystore)
	case err != nil:
		return nil, fault(PartKeystore, "the keystore %s cannot be used: %v", f.Keystore, err)
	}
	return pair, nil
}

func decodePKCS12(text []byte, password string) (*tls.Certificate, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(text, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, errPassword
	case err != nil:
		return nil, err
	}
	all := [][]byte{leaf.Raw}
	for _, c := range chain {
		all = append(all, c.Raw)
	}
	return join(key, all)
}

// decodeJKS takes the one key of a keystore; its password is that of the store.
func decodeJKS(text []byte, password string) (*tls.Certificate, error) {
	store := keystore.New(keystore.WithCaseExactAliases())
	if err := store.Load(bytes.NewReader(text), []byte(password)); err != nil {
		return nil, errPassword // its digest is the one thing that fails for a whole file
	}
	var keys []string
	for _, alias := range store.Aliases() {
		if store.IsPrivateKeyEntry(alias) {
			keys = append(keys, alias)
		}
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("it has %d private keys, the port needs exactly one", len(keys))
	}
	entry, err := store.GetPrivateKeyEntry(keys[0], []byte(password))
	if err != nil {
		return nil, fmt.Errorf("its key %q has another password than the store, give both the same (keytool -keypasswd): %w", keys[0], err)
	}
	key, err := x509.ParsePKCS8PrivateKey(entry.PrivateKey)
	if err != nil {
		return nil, err
	}
	var chain [][]byte
	for _, c := range entry.CertificateChain {
		chain = append(chain, c.Content)
	}
	return join(key, chain)
}

// join makes a pair of a key and its certificate with those behind it.
func join(key any, chain [][]byte) (*tls.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("its key has no certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("its key (%T) cannot sign", key)
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(leaf.PublicKey) {
		return nil, errors.New("its key is not the one of its certificate")
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: signer, Leaf: leaf}, nil
}
