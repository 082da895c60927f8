// SPDX-License-Identifier: Apache-2.0

package tlsx

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// How long self-made certificates are good. That of the authority is in the
// files of clients, so it lasts longest.
const (
	authorityAge   = 5 * 365 * 24 * time.Hour
	certificateAge = 365 * 24 * time.Hour
	clockSkew      = 5 * time.Minute
)

// serverName is that of the files of the certificate of this gateway.
const serverName = "server"

// Pair are the files of a certificate and its key, both PEM and of mode 0600.
type Pair struct{ Certificate, Key string }

func pairIn(dir, name string) Pair {
	return Pair{filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key.pem")}
}

// Authority signs certificates for a trial. Its key lies beside them, which is
// not how an organisation keeps one.
type Authority struct {
	// Files are those of the authority itself.
	Files       Pair
	dir         string
	certificate *x509.Certificate
	key         crypto.Signer
}

// OpenAuthority takes the authority in a folder, or makes the folder and a new
// one, named after this machine. Root makes none in a folder of somebody else,
// who could not read the files.
func OpenAuthority(dir, machine string) (*Authority, error) {
	a := &Authority{Files: pairIn(dir, "ca"), dir: dir}
	if uid := ownerOf(dir); os.Geteuid() == 0 && uid != 0 {
		return nil, fmt.Errorf("%s is a folder of uid %d, who could not read files of root: call this as that user (sudo -u)", dir, uid)
	}
	_, certErr := os.Lstat(a.Files.Certificate)
	_, keyErr := os.Lstat(a.Files.Key)
	if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		return a, a.found(machine)
	}
	pair, err := Files{Certificate: a.Files.Certificate, Key: a.Files.Key}.loadPEM()
	if err != nil {
		return nil, fmt.Errorf("the authority in %s cannot be used: %w; move the folder away to make a new one", dir, err)
	}
	if time.Now().After(pair.Leaf.NotAfter) || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("the authority in %s has expired or is none; move the folder away to make a new one", dir)
	}
	a.certificate, a.key = pair.Leaf, pair.PrivateKey.(crypto.Signer)
	return a, nil
}

// ownerOf is the owner of a folder, or of the nearest above it that exists.
func ownerOf(dir string) uint32 {
	var st unix.Stat_t
	for errors.Is(unix.Stat(dir, &st), fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return st.Uid
}

func (a *Authority) found(machine string) error {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Roundhouse trial authority of " + machine}, NotAfter: time.Now().Add(authorityAge),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return a.sign(a.Files, template)
}

// Present are the files of the certificate of this gateway, and the host names and
// addresses that it is for: none if there is no certificate of this authority.
func (a *Authority) Present() (files Pair, hosts []string) {
	files = pairIn(a.dir, serverName)
	present, _ := a.issued(files)
	if present == nil {
		return files, nil
	}
	for _, ip := range present.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return files, append(hosts, present.DNSNames...)
}

// Server makes the certificate of this gateway, for these host names and
// addresses. It replaces the last one, which a running gateway notices, but
// none of another authority.
func (a *Authority) Server(hosts []string) (Pair, error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: hosts[0]}, NotAfter: time.Now().Add(certificateAge),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(serverName, template)
}

// Client makes a certificate for a user: the name, one of auth.ValidUser, is its
// CN.
func (a *Authority) Client(user string) (Pair, error) {
	return a.issue("client-"+user, &x509.Certificate{
		Subject: pkix.Name{CommonName: user}, NotAfter: time.Now().Add(certificateAge),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *Authority) issue(name string, template *x509.Certificate) (Pair, error) {
	files := pairIn(a.dir, name)
	if _, replaceable := a.issued(files); !replaceable {
		return Pair{}, fmt.Errorf("%s or its key is not of this authority and is not replaced; move both away first", files.Certificate)
	}
	return files, a.sign(files, template)
}

// issued is a certificate of this authority, nil if there is none. The files can be
// replaced if there is, and if neither certificate nor key is there.
func (a *Authority) issued(files Pair) (present *x509.Certificate, replaceable bool) {
	text, err := ReadCertificates(files.Certificate)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := os.Lstat(files.Key)
		return nil, errors.Is(err, fs.ErrNotExist)
	}
	block, _ := pem.Decode(text)
	if err != nil || block == nil {
		return nil, false
	}
	old, err := x509.ParseCertificate(block.Bytes)
	if err != nil || old.CheckSignatureFrom(a.certificate) != nil {
		return nil, false
	}
	return old, true
}

// sign makes a key and its certificate. The first one is the authority's own.
func (a *Authority) sign(files Pair, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.NotBefore = time.Now().Add(-clockSkew)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if a.certificate == nil {
		a.key = key
		if a.certificate, err = x509.ParseCertificate(der); err != nil {
			return err
		}
	}
	if err := writePEM(files.Key, "PRIVATE KEY", encoded); err != nil {
		return err
	}
	return writePEM(files.Certificate, "CERTIFICATE", der)
}

// writePEM puts a file in its place whole, with mode 0600.
func writePEM(path, kind string, der []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
