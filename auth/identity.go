// SPDX-License-Identifier: Apache-2.0

// Package auth tells who calls. It knows credentials and users, never sessions
// or engines. Every Authenticator decides on the headers of a call alone,
// before any message of the call is read (design section 2, rule 2).
package auth

import (
	"context"
	"crypto/x509"
	"net"
	"time"
)

// Identity is who a call belongs to, once authenticated.
type Identity struct {
	// User is the session user: owner of sessions and engines. It is empty only
	// with Method NONE, until the claimed user_id of the first message is read.
	User string
	// RealUser is who presented the credentials; it differs from User when a
	// proxy user was asked for.
	RealUser string
	// Groups of User, primary group first; may be empty.
	Groups []string
	// Method is the authentication method that decided: NONE, TOKEN, …
	Method string
	// Admin says that User may see and end what belongs to others.
	Admin bool
	// Expires is when the credentials stop being good; zero if they do not say.
	Expires time.Time
	// Token is the id of a token that this gateway issued; "" for any other
	// credentials.
	Token string
	// Lapsed says that the credentials were good until a moment ago: the caller may
	// only end or go on with what was begun before (ReattachExecute, ReleaseExecute,
	// Interrupt, ReleaseSession).
	Lapsed bool
	// Renew is where the holder of such a token gets another one, a URL.
	Renew string
	// Host says that the caller is the operating system user who runs the gateway,
	// as only that one can read its secrets. It holds for administration alone.
	Host bool
	// Reply is what the answer of an HTTP call carries in WWW-Authenticate, such as
	// the token by which Kerberos proves the gateway to the caller; "" for nothing.
	Reply string
	// Address is where the call came from, without the port, as the door saw it; ""
	// where nobody needs it.
	Address string
}

// MethodNone is the Method of an Identity that nobody verified.
const MethodNone = "NONE"

// AnonymousUser is the user of a call that claims none (Kyuubi's name).
const AnonymousUser = "anonymous"

// The doors of the gateway, by which a call comes in.
const (
	DoorConnect = "connect"
	DoorREST    = "rest"
)

// Request is what an Authenticator may look at.
type Request struct {
	// Door is where the call came in: DoorConnect or DoorREST.
	Door string
	// Header holds the lower-case metadata or HTTP headers of the call.
	Header map[string][]string
	// Peer is the address of the direct peer.
	Peer net.Addr
	// Secure says that the call came over TLS.
	Secure bool
	// Certificate is the verified certificate of the client, nil without one.
	Certificate *x509.Certificate
}

// Authenticator verifies the credentials of a call. An error is an *errs.Error
// of class UNAUTHENTICATED, whose public text is the same for every cause, or of
// class AUTH_UNAVAILABLE or LIMIT_EXCEEDED, which say nothing about them, or
// TOKEN_EXPIRED or PERMISSION_DENIED, if they are or were good.
type Authenticator interface {
	Authenticate(ctx context.Context, r Request) (Identity, error)
}
