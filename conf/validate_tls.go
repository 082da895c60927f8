// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leastRSA is the shortest RSA key, in bits, that clients of today accept.
const leastRSA = 2048

// checkCertificate looks whether clients could trust the port with this
// certificate and key, and whether the key is one.
func checkCertificate(c *Conf, _ func(string) string) Faults {
	cert, key := ConnectSSLCertificate.Get(c), ConnectSSLKey.Get(c)
	if !ConnectSSLEnabled.Get(c) || cert == "" || key == "" {
		return nil // said already
	}
	certText, err := os.ReadFile(cert)
	if err != nil {
		return c.blame(ConnectSSLCertificate.Key, "the certificate cannot be read (%v): correct the path or the permissions", err)
	}
	keyText, err := os.ReadFile(key)
	if err != nil {
		return c.blame(ConnectSSLKey.Key, "the key cannot be read (%v): correct the path or the permissions", err)
	}
	if !private(key) {
		return c.blame(ConnectSSLKey.Key, "other users of this machine can read or change %s and so pretend to be this gateway: chmod 600 %s", key, key)
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return c.pairFault(err)
	}
	return c.leafFault(pair.Leaf)
}

// pairFault says which of the two files is wrong.
func (c *Conf) pairFault(err error) Faults {
	text := err.Error()
	switch {
	case strings.Contains(text, "does not match"):
		return c.blame(ConnectSSLKey.Key, "this key is not the one of the certificate %s: name the two files that were made together", ConnectSSLCertificate.Get(c))
	case strings.Contains(text, "key input"), strings.Contains(text, "private key"):
		return c.blame(ConnectSSLKey.Key, "no private key can be read from %s: it must be PEM and not encrypted", ConnectSSLKey.Get(c))
	}
	return c.blame(ConnectSSLCertificate.Key, "no certificate can be read from %s (%v): it must be PEM, the certificate of this gateway first", ConnectSSLCertificate.Get(c), err)
}

func (c *Conf) leafFault(leaf *x509.Certificate) Faults {
	now, key := time.Now(), ConnectSSLCertificate.Key
	public, isRSA := leaf.PublicKey.(*rsa.PublicKey)
	switch {
	case now.After(leaf.NotAfter):
		return c.blame(key, "the certificate expired on %s, so clients refuse it: renew it", leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return c.blame(key, "the certificate is valid from %s on, so clients refuse it: look at the clock of this machine, or use another one",
			leaf.NotBefore.Format(time.DateTime))
	case isRSA && public.N.BitLen() < leastRSA:
		return c.blame(key, "the key has %d bits, which can be broken and clients refuse: make one of %d bits or more", public.N.BitLen(), leastRSA)
	case len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return c.blame(key, "the certificate names no host (subjectAltName), so clients refuse it: make one for the name that clients dial")
	}
	return nil
}

// private says whether nobody but the owner can use a key file. One of root may
// be readable by its group, which is how a service is given a key; links to it
// are followed.
func private(path string) bool {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return false
	}
	if st.Uid == 0 {
		return st.Mode&0o037 == 0
	}
	return st.Mode&0o077 == 0
}
