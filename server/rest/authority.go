// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"roundhouse/internal/errs"
	"roundhouse/internal/tlsx"
)

// authority gives everybody the authority of the gateway's certificate, as PEM
// (RFC 8555 section 9.1 names the type). Nothing but certificates is ever sent.
func (s *Server) authority(c *call) error {
	text, err := tlsx.ReadCertificates(s.o.CA)
	// One of a trial may be left over: who trusts it can be deceived by whoever finds its key.
	stale := err == nil && s.o.TLS != nil && !s.o.TLS.Trusted(text)
	if stale || errors.Is(err, fs.ErrNotExist) {
		return errs.New(errs.NotFound, "This gateway has no authority of its own to give: its certificate is one that everybody trusts, or its administrator hands it out elsewhere.")
	}
	if err != nil {
		return fmt.Errorf("reading the authority of the gateway's certificate: %w", err)
	}
	c.w.Header().Set("Content-Type", "application/pem-certificate-chain")
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(text) // a caller that went away needs no answer
	return nil
}
