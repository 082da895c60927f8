// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"net"
	"slices"
	"strings"
)

// Schemes of the Authorization header, in lower case (RFC 9110 section 11).
const (
	SchemeBasic     = "basic"
	SchemeBearer    = "bearer"
	SchemeNegotiate = "negotiate"
)

// maxCredentials bounds what is read of a header, in bytes: a Kerberos token
// with many groups is the longest (RFC 4559).
const maxCredentials = 64 << 10

// Credentials are what the headers of a call present.
type Credentials struct {
	// Scheme is in lower case; "" is a call without credentials.
	Scheme string
	// Value is what follows the scheme and one space.
	Value string
}

// ReadCredentials reads the one Authorization header of a call. JVM clients
// before Spark 4.3 send it as "authentication" over TLS; a call that has both
// with different values is refused, like one with a header twice: two readers
// of the same call could otherwise see two callers. The error is for the log.
func ReadCredentials(header map[string][]string) (Credentials, error) {
	values := slices.Concat(header["authorization"], header["authentication"])
	switch {
	case len(values) == 0:
		return Credentials{}, nil
	case len(header["authorization"]) > 1 || len(header["authentication"]) > 1:
		return Credentials{}, errors.New("credentials given twice")
	case values[0] != values[len(values)-1]:
		return Credentials{}, errors.New("two different credentials")
	case len(values[0]) > maxCredentials:
		return Credentials{}, errors.New("oversized credentials")
	}
	scheme, value, _ := strings.Cut(values[0], " ")
	if scheme == "" || value == "" {
		return Credentials{}, errors.New("empty credentials")
	}
	return Credentials{Scheme: strings.ToLower(scheme), Value: value}, nil
}

// confidential says whether nobody between the caller and the gateway can read
// what they say: the call came over TLS, or from this machine.
func confidential(r Request) bool {
	if r.Secure {
		return true
	}
	switch p := r.Peer.(type) {
	case *net.TCPAddr:
		return p.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	default:
		return false
	}
}
