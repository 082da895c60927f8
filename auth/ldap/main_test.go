// SPDX-License-Identifier: Apache-2.0

package ldap_test

import (
	"encoding/base64"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
	"roundhouse/auth/ldap"
	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options ask a directory as people of it, over TLS.
func options(s *env.Slapd) ldap.Options {
	return ldap.Options{
		Servers: ldap.Servers{URLs: []string{"ldaps://" + s.Secure}, CAFile: s.CA, Connections: 4},
		Rules: ldap.Rules{
			GUIDKey: "uid", GroupMembershipKey: "member", GroupClassKey: "groupOfNames", BaseDN: env.LDAPBase,
			UserDNPatterns:  []string{"uid=%s,ou=people," + env.LDAPBase, "uid=%s,ou=staff," + env.LDAPBase},
			GroupDNPatterns: []string{"cn=%s,ou=groups," + env.LDAPBase},
		},
		Timeout: 5 * time.Second, CacheTTL: time.Minute, CacheAwayTTL: 10 * time.Minute, Log: slog.New(slog.DiscardHandler),
	}
}

// asker is a chain of the one method.
type asker struct {
	t     *testing.T
	chain *auth.Chain
}

func ask(t *testing.T, o ldap.Options) asker {
	t.Helper()
	method, err := ldap.New(o)
	require.NoError(t, err)
	a := asker{t, &auth.Chain{Methods: []auth.Method{method}}}
	stop := make(chan struct{})
	over := make(chan error, 1)
	go func() { over <- a.chain.Run(until(stop)) }() // waited for by the cleanup
	t.Cleanup(func() {
		close(stop)
		require.NoError(t, <-over)
	})
	return a
}

func (a asker) login(user, password string) (auth.Identity, error) {
	return a.chain.Authenticate(a.t.Context(), request(user+":"+password))
}

func request(text string) auth.Request {
	return auth.Request{Peer: authtest.Loopback, Header: map[string][]string{
		"authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(text))},
	}}
}
