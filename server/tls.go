// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"

	"roundhouse/conf"
	"roundhouse/internal/tlsx"
)

// secure makes the TLS of a port and notes it to be run; nil where the port has
// none. proto is what the port speaks inside (RFC 7301).
func (p *parts) secure(o *tlsx.Options, port, proto string) (*tlsx.Server, error) {
	if o == nil {
		return nil, nil
	}
	made, err := tlsx.NewServer(*o, port, []string{proto}, p.log)
	if err != nil {
		return nil, fmt.Errorf("TLS of the %s port: %w", port, err)
	}
	p.certificates = append(p.certificates, made)
	return made, nil
}

// rootsHint tells clients how they come to trust the Spark Connect port; ""
// where they do without more.
func (p *parts) rootsHint() string {
	file, needed := p.c.ClientRoots()
	if !needed {
		return ""
	}
	const hint = "Spark's clients do not trust the certificate of this gateway by themselves: "
	if conf.RESTSSLEnabled.Get(p.c) && file == p.c.CAFile() && file != "" {
		return hint + fmt.Sprintf("get the file of its authority from https://%s/ca.pem, and set GRPC_DEFAULT_SSL_ROOTS_FILE_PATH to its path.", p.restAddress)
	}
	return hint + "get the file of its authority from your administrator, and set GRPC_DEFAULT_SSL_ROOTS_FILE_PATH to its path."
}
