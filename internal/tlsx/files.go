// SPDX-License-Identifier: Apache-2.0

package tlsx

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leastRSA is the shortest RSA key, in bits, that clients of today accept.
const leastRSA = 2048

// fileLimit bounds what is read of a file, in bytes.
const fileLimit = 4 << 20

// Files are where a port has its certificate and key from: two PEM files, or one
// keystore.
type Files struct {
	// Certificate holds the certificate of the port, followed by its
	// intermediates; Key its private key, not encrypted. Both are PEM.
	Certificate, Key string
	// Keystore is a PKCS12 or JKS file, used instead of the two.
	Keystore string
	// Password opens the keystore and the key in it.
	Password string
	// Type is PKCS12 or JKS; "" takes either.
	Type string
}

// Part is what a Fault is about.
type Part int

// The parts of a TLS configuration that can be wrong.
const (
	PartCertificate Part = iota
	PartKey
	PartKeystore
	PartPassword
	PartType
	PartClientCA
)

// Fault says in a sentence for people what is wrong with a part, and what to do.
type Fault struct {
	Part Part
	Text string
}

// Error is the sentence.
func (f *Fault) Error() string { return f.Text }

func fault(p Part, format string, args ...any) error {
	return &Fault{p, fmt.Sprintf(format, args...)}
}

// Load reads the files and looks whether clients could trust a port with them.
// The error is a *Fault.
func (f Files) Load() (*tls.Certificate, error) {
	part := PartCertificate
	load := f.loadPEM
	if f.Keystore != "" {
		part, load = PartKeystore, f.loadKeystore
	}
	pair, err := load()
	if err != nil {
		return nil, err
	}
	return pair, checkLeaf(part, pair.Leaf)
}

// paths are the files to watch.
func (f Files) paths() []string {
	if f.Keystore != "" {
		return []string{f.Keystore}
	}
	return []string{f.Certificate, f.Key}
}

func (f Files) loadPEM() (*tls.Certificate, error) {
	certificate, _, err := readFile(f.Certificate)
	if err != nil {
		return nil, fault(PartCertificate, "the certificate cannot be read (%v): correct the path or the permissions", err)
	}
	key, st, err := readFile(f.Key)
	if err != nil {
		return nil, fault(PartKey, "the key cannot be read (%v): correct the path or the permissions", err)
	}
	if err := checkPrivate(PartKey, f.Key, st); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, f.pairFault(err)
	}
	return &pair, nil
}

// pairFault says which of the two files is wrong.
func (f Files) pairFault(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "does not match"):
		return fault(PartKey, "this key is not the one of the certificate %s: name the two files that were made together", f.Certificate)
	case !strings.Contains(text, "certificate input") && (strings.Contains(text, "key input") || strings.Contains(text, "private key")):
		return fault(PartKey, "no private key can be read from %s: it must be PEM and not encrypted", f.Key)
	}
	return fault(PartCertificate, "no certificate can be read from %s (%v): it must be PEM, the certificate of this gateway first", f.Certificate, err)
}

func checkLeaf(part Part, leaf *x509.Certificate) error {
	now := time.Now()
	public, isRSA := leaf.PublicKey.(*rsa.PublicKey)
	switch {
	case now.After(leaf.NotAfter):
		return fault(part, "the certificate expired on %s, so clients refuse it: renew it", leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fault(part, "the certificate is valid from %s on, so clients refuse it: look at the clock of this machine, or use another one",
			leaf.NotBefore.Format(time.DateTime))
	case isRSA && public.N.BitLen() < leastRSA:
		return fault(part, "the key has %d bits, which can be broken and clients refuse: make one of %d bits or more", public.N.BitLen(), leastRSA)
	case len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return fault(part, "the certificate names no host (subjectAltName), so clients refuse it: make one for the name that clients dial")
	}
	return nil
}

// checkPrivate refuses a file with a key that others than the gateway's user can
// use. One of root may be readable by its group, which is how a service is given
// a key; links to it are followed.
func checkPrivate(part Part, path string, st unix.Stat_t) error {
	open := uint32(st.Mode) & 0o077
	if st.Uid == 0 {
		open = uint32(st.Mode) & 0o037
	}
	switch {
	case !ours(st):
		return fault(part, "%s belongs to uid %d, who can read or change it and so pretend to be this gateway: chown it to root or to the gateway's user", path, st.Uid)
	case open != 0:
		return fault(part, "other users of this machine can read or change %s and so pretend to be this gateway: chmod 600 %s", path, path)
	}
	return nil
}

// ours says whether a file belongs to this process's user or to root.
func ours(st unix.Stat_t) bool { return st.Uid == 0 || int(st.Uid) == os.Geteuid() }

// LoadAuthorities reads the PEM file with the authorities of clients'
// certificates. The error is a *Fault.
func LoadAuthorities(path string) (*x509.CertPool, error) {
	text, st, err := readFile(path)
	switch {
	case err != nil:
		return nil, fault(PartClientCA, "the authorities cannot be read (%v): correct the path or the permissions", err)
	case !ours(st):
		return nil, fault(PartClientCA, "%s belongs to uid %d, who can change it and so let anybody in: chown it to root or to the gateway's user", path, st.Uid)
	case st.Mode&0o022 != 0:
		return nil, fault(PartClientCA, "other users of this machine can change %s and so let anybody in: chmod go-w %s", path, path)
	}
	pool, found := x509.NewCertPool(), false
	for block := range blocks(text) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault(PartClientCA, "a certificate in %s cannot be read: %v", path, err)
		}
		if !c.IsCA {
			return nil, fault(PartClientCA, "the certificate of %s in %s is of no authority, so it vouches for nobody: name the file of the CA that signs those of clients", c.Subject, path)
		}
		pool.AddCert(c)
		found = true
	}
	if !found {
		return nil, fault(PartClientCA, "there is no certificate in %s: it must be PEM", path)
	}
	return pool, nil
}

// ReadCertificates returns the certificates of a PEM file as PEM, and nothing
// else that is in it. The error is fs.ErrNotExist where there is no such file.
func ReadCertificates(path string) ([]byte, error) {
	text, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var found []byte
	for block := range blocks(text) {
		found = append(found, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
	}
	if found == nil {
		return nil, fmt.Errorf("there is no certificate in %s: it must be PEM", path)
	}
	return found, nil
}

// blocks are the certificates of a PEM text.
func blocks(text []byte) func(yield func(*pem.Block) bool) {
	return func(yield func(*pem.Block) bool) {
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" && !yield(block) {
				return
			}
		}
	}
}

// readFile returns the text of a file and the state of the very file that was
// read.
func readFile(path string) (text []byte, st unix.Stat_t, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, st, err
	}
	defer func() { _ = f.Close() }()
	err = unix.Fstat(int(f.Fd()), &st)
	switch {
	case err != nil:
		return nil, st, err
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, st, fmt.Errorf("%s is no file", path)
	case st.Size > fileLimit:
		return nil, st, errors.New("it is larger than any certificate")
	}
	text, err = io.ReadAll(io.LimitReader(f, fileLimit))
	return text, st, err
}
