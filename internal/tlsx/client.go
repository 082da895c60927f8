// SPDX-License-Identifier: Apache-2.0

package tlsx

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Client is how the gateway speaks TLS to a server of somebody else.
type Client struct {
	// Authorities is the PEM file of those that vouch for the server; "" takes those of
	// the operating system.
	Authorities string
	// Certificate and Key are the PEM files of what the gateway shows; both or none.
	Certificate, Key string
}

// Config reads the files. The name of the server is that which is dialled, unless the
// caller sets it. The error is a *Fault for Certificate and Key.
func (c Client) Config() (*tls.Config, error) {
	authorities, err := Roots(c.Authorities)
	if err != nil {
		return nil, fmt.Errorf("the certificate authorities: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites, RootCAs: authorities}
	if c.Certificate == "" {
		return config, nil
	}
	pair, err := Files{Certificate: c.Certificate, Key: c.Key}.loadPEM()
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{*pair}
	return config, nil
}

// Roots are the authorities in a PEM file; nil, which means those of the operating system,
// for "".
func Roots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", path)
	}
	return pool, nil
}
