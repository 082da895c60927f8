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
	config := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites}
	if c.Authorities != "" {
		text, err := os.ReadFile(c.Authorities)
		if err != nil {
			return nil, fmt.Errorf("the certificate authorities cannot be read: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("there is no certificate in %s: it must be PEM", c.Authorities)
		}
	}
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
