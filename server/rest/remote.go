// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/url"

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
	line := "sc://" + r.Address + "/"
	if r.TLS {
		line += ";use_ssl=true"
	}
	if caller.Method == auth.MethodNone {
		line += ";user_id=" + url.QueryEscape(caller.User)
	}
	return line + ";session_id=" + sessionID
}
