// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net"
	"net/url"
	"strings"

	"roundhouse/auth"
)

// Remote is how clients reach the Spark Connect port of this gateway.
type Remote struct {
	// Address is host:port, as clients are to dial it.
	Address string
	// TLS says that the port wants it.
	TLS bool
	// Hint tells, in a sentence, how clients come to trust the port; "" where they
	// do without more.
	Hint string
}

// Line is the connection string of one session, ready for SPARK_REMOTE. It
// holds no credentials; where nobody is authenticated it names the user, whom
// clients would otherwise claim to be the one of their own machine.
func (r Remote) Line(sessionID string, caller auth.Identity) string {
	session := ";session_id=" + sessionID
	if caller.Method == auth.MethodNone {
		return r.to(r.Address) + ";user_id=" + url.QueryEscape(caller.User) + session
	}
	return r.to(r.forTokens()) + session
}

// LineHint tells the caller what is needed besides Line; "" where that is nothing.
func (r Remote) LineHint(caller auth.Identity) string {
	if caller.Method == auth.MethodNone {
		return r.Hint
	}
	return strings.TrimSpace("The line remote holds no credentials: add ;token=<your token> to it. " + r.Hint)
}

// TokenLine is the connection string for SPARK_REMOTE with a token.
func (r Remote) TokenLine(token string) string {
	return r.to(r.forTokens()) + ";token=" + url.QueryEscape(token)
}

// to is how connection strings to an address begin.
func (r Remote) to(address string) string {
	if r.TLS {
		return "sc://" + address + "/;use_ssl=true"
	}
	return "sc://" + address + "/"
}

// forTokens is the address for clients with a token. They send it in plain to
// "localhost" only, by that name.
func (r Remote) forTokens() string {
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil || r.TLS || !net.ParseIP(host).IsLoopback() {
		return r.Address
	}
	return net.JoinHostPort("localhost", port)
}
