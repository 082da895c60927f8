// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"path/filepath"

	"roundhouse/internal/tlsx"
)

// sslKeys are the settings of a certificate.
type sslKeys struct{ certificate, key, keystore, password Entry[string] }

// anySSL, connectSSL and restSSL are the three places for a certificate. They
// are immutable.
var (
	anySSL     = sslKeys{SSLCertificate, SSLKey, SSLKeystore, SSLKeystorePassword}
	connectSSL = sslKeys{ConnectSSLCertificate, ConnectSSLKey, ConnectSSLKeystore, ConnectSSLKeystorePassword}
	restSSL    = sslKeys{RESTSSLCertificate, RESTSSLKey, RESTSSLKeystore, RESTSSLKeystorePassword}
)

func (k sslKeys) used(c *Conf) bool {
	return k.certificate.Get(c) != "" || k.key.Get(c) != "" || k.keystore.Get(c) != ""
}

func (k sslKeys) files(c *Conf) tlsx.Files {
	return tlsx.Files{
		Certificate: k.certificate.Get(c), Key: k.key.Get(c),
		Keystore: k.keystore.Get(c), Password: k.password.Get(c), Type: SSLKeystoreType.Get(c),
	}
}

// sslPort is a port that may speak TLS.
type sslPort struct {
	enabled Entry[bool]
	own     sslKeys
	clients Entry[string]
}

func sslPorts() []sslPort {
	return []sslPort{connectPort(), restPort()}
}

func connectPort() sslPort { return sslPort{ConnectSSLEnabled, connectSSL, ConnectSSLClientAuth} }
func restPort() sslPort    { return sslPort{RESTSSLEnabled, restSSL, RESTSSLClientAuth} }

// keys are where the certificate of the port stands.
func (p sslPort) keys(c *Conf) sslKeys {
	if !p.own.used(c) && anySSL.used(c) {
		return anySSL
	}
	return p.own
}

func (p sslPort) options(c *Conf) *tlsx.Options {
	if !p.enabled.Get(c) {
		return nil
	}
	asked := map[string]tlsx.Clients{clientsOptional: tlsx.ClientsOptional, clientsRequired: tlsx.ClientsRequired}
	return &tlsx.Options{Files: p.keys(c).files(c), Clients: asked[p.clients.Get(c)], Authorities: SSLClientCA.Get(c)}
}

// ConnectTLS is the TLS of the Spark Connect port; nil without.
func (c *Conf) ConnectTLS() *tlsx.Options { return connectPort().options(c) }

// RESTTLS is the TLS of the REST port; nil without.
func (c *Conf) RESTTLS() *tlsx.Options { return restPort().options(c) }

// TrialTLS is the folder of what `gateway certificates` makes.
func (c *Conf) TrialTLS() string { return filepath.Join(ServerDataDir.Get(c), "tls") }

// CAFile is the file with the authority of the gateway's own certificate, which
// need not exist.
func (c *Conf) CAFile() string {
	if path := SSLCA.Get(c); path != "" {
		return path
	}
	return filepath.Join(c.TrialTLS(), "ca.pem")
}
