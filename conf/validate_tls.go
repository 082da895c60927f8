// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"errors"
	"path/filepath"

	"roundhouse/internal/tlsx"
)

// checkTLS looks whether each port that speaks TLS has one certificate, and what
// it needs to ask clients for theirs.
func checkTLS(c *Conf) (faults Faults) {
	seen := map[string]bool{}
	for _, port := range sslPorts() {
		faults = append(faults, port.checkClients(c)...)
		keys := port.keys(c)
		if port.enabled.Get(c) && !seen[keys.certificate.Key] {
			seen[keys.certificate.Key] = true // said once, though both ports use it
			faults = append(faults, keys.check(c, port.enabled.Key)...)
		}
	}
	return append(faults, checkCertificateMethod(c)...)
}

// check looks at the settings of a certificate that the setting enabled needs.
func (k sslKeys) check(c *Conf, enabled string) (faults Faults) {
	if k.keystore.Get(c) != "" {
		if k.certificate.Get(c) != "" || k.key.Get(c) != "" {
			return c.blame(k.keystore.Key, "there are a keystore and a PEM file for the same port: remove one or the other")
		}
		if k.password.Get(c) == "" {
			return c.blame(k.password.Key, "the keystore %s needs its password (file:/path or env:NAME)", k.keystore.Get(c))
		}
		return nil
	}
	for _, e := range []Entry[string]{k.certificate, k.key} {
		if e.Get(c) == "" {
			faults = append(faults, c.blame(e.Key, "%s is true, which needs this PEM file (`gateway certificates` makes one for a trial)", enabled)...)
		}
	}
	return faults
}

func (p sslPort) checkClients(c *Conf) Faults {
	asked := p.clients.Get(c)
	switch {
	case asked == clientsNone:
		return nil
	case !p.enabled.Get(c):
		return c.blame(p.clients.Key, "clients can show certificates over TLS only, so %s would keep nobody out: set %s=true", asked, p.enabled.Key)
	case SSLClientCA.Get(c) == "":
		return c.blame(SSLClientCA.Key, "%s=%s needs this file with the authorities of clients' certificates", p.clients.Key, asked)
	}
	return nil
}

// checkCertificateMethod looks whether a certificate can come to the method
// CERTIFICATE at all.
func checkCertificateMethod(c *Conf) Faults {
	connect := ConnectSSLClientAuth.Get(c) != clientsNone
	rest := RESTSSLClientAuth.Get(c) != clientsNone
	switch {
	case !c.Uses(AuthCertificate) || c.Uses(AuthNone) || connect:
		return nil
	case rest && len(Authentication.Get(c)) > 1:
		return nil
	case rest:
		return c.blame(ConnectSSLClientAuth.Key, "CERTIFICATE is the only method of %s and Spark Connect clients are not asked for one, so nobody could connect: set it to REQUIRED", Authentication.Key)
	}
	return c.blame(ConnectSSLClientAuth.Key, "the method CERTIFICATE of %s needs ports that ask for certificates: set it to OPTIONAL or REQUIRED, with %s", Authentication.Key, SSLClientCA.Key)
}

// checkCertificates looks whether clients could trust the ports with their
// certificates and keys, and at the authorities of clients.
func checkCertificates(c *Conf, _ func(string) string) (faults Faults) {
	seen, asked := map[string]bool{}, false
	for _, port := range sslPorts() {
		keys := port.keys(c)
		if !port.enabled.Get(c) {
			continue
		}
		asked = asked || port.clients.Get(c) != clientsNone
		if !seen[keys.certificate.Key] && len(keys.check(c, "")) == 0 { // else said already
			_, err := keys.files(c).Load()
			faults = append(faults, c.certificateFault(keys, err)...)
			faults = append(faults, c.replaceable("and so pretend to be this gateway", keys.key, keys.keystore)...)
		}
		seen[keys.certificate.Key] = true
	}
	if path := SSLClientCA.Get(c); asked && path != "" {
		_, err := tlsx.LoadAuthorities(path)
		faults = append(faults, c.certificateFault(sslKeys{}, err)...)
		faults = append(faults, c.replaceable("and so let anybody in", SSLClientCA)...)
	}
	if path := SSLCA.Get(c); path != "" {
		if _, err := tlsx.ReadCertificates(path); err != nil {
			faults = append(faults, c.blame(SSLCA.Key, "the authority cannot be given to clients (%v): correct the path", err)...)
		}
	}
	return faults
}

// replaceable refuses files in folders of which every user can replace what is
// in them; danger is what for.
func (c *Conf) replaceable(danger string, files ...Entry[string]) (faults Faults) {
	for _, e := range files {
		if path := e.Get(c); path != "" {
			if open := openAbove(filepath.Dir(path)); open != "" {
				faults = append(faults, c.blame(e.Key, "every user of this machine can replace what is in %s %s: chmod o-w %s, or move the file", open, danger, open)...)
			}
		}
	}
	return faults
}

// certificateFault points at the setting of the part that is wrong.
func (c *Conf) certificateFault(k sslKeys, err error) Faults {
	var f *tlsx.Fault
	if !errors.As(err, &f) {
		return nil
	}
	key := map[tlsx.Part]string{
		tlsx.PartCertificate: k.certificate.Key, tlsx.PartKey: k.key.Key, tlsx.PartKeystore: k.keystore.Key,
		tlsx.PartPassword: k.password.Key, tlsx.PartType: SSLKeystoreType.Key, tlsx.PartClientCA: SSLClientCA.Key,
	}[f.Part]
	return c.blame(key, "%s", f.Text)
}

// Expiries says which certificates of the ports expire soon, a sentence each.
func (c *Conf) Expiries() (soon []string) {
	seen := map[string]bool{}
	for _, port := range sslPorts() {
		keys := port.keys(c)
		if !port.enabled.Get(c) || seen[keys.certificate.Key] {
			continue
		}
		seen[keys.certificate.Key] = true
		if pair, err := keys.files(c).Load(); err == nil && tlsx.Expiry(pair.Leaf) != "" {
			soon = append(soon, keys.place(c)+": "+tlsx.Expiry(pair.Leaf))
		}
	}
	return soon
}

// place is the setting that names the certificate.
func (k sslKeys) place(c *Conf) string {
	if k.keystore.Get(c) != "" {
		return k.keystore.Key
	}
	return k.certificate.Key
}

// ClientRoots says whether Spark's clients need GRPC_DEFAULT_SSL_ROOTS_FILE_PATH,
// because not everybody trusts the certificate of the port, and which file on
// this machine it can name; "" where none is known.
func (c *Conf) ClientRoots() (file string, needed bool) {
	if !ConnectSSLEnabled.Get(c) {
		return "", false
	}
	files := connectPort().keys(c).files(c)
	pair, err := files.Load()
	if err != nil || tlsx.TrustedBy(nil, pair) {
		return "", false
	}
	for _, path := range []string{c.CAFile(), files.Certificate} {
		if roots, err := tlsx.ReadCertificates(path); err == nil && tlsx.TrustedBy(roots, pair) {
			return path, true
		}
	}
	return "", true
}
