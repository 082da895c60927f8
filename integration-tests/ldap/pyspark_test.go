// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/integration-tests/env"
)

// TestPySpark: real PySpark with a user name and a password, and real Spark. It
// claims another name, the one of the local account.
func TestPySpark(t *testing.T) {
	s := env.StartSlapd(t)
	h := startWith(t, s, map[string]string{"spark.driver.memory": "700m"})
	t.Setenv("LOGIN_PASSWORD", "wrong")
	stranger := env.StartClient(t, "4.3", "basic_login.py", "--remote", h.Remote(), "--user", "alice")
	require.Contains(t, stranger.Next("failed", time.Minute)["text"], "Authentication failed")
	require.Empty(t, h.Engines())

	t.Setenv("LOGIN_PASSWORD", env.LDAPPassword("alice"))
	alice := env.StartClient(t, "4.3", "basic_login.py", "--remote", h.Remote(), "--user", "Alice")
	alice.Next("ready", 3*time.Minute)
	require.EqualValues(t, 1000, alice.Next("answered", 3*time.Minute)["rows"])
	require.Len(t, h.Engines(), 1)
	require.Equal(t, "alice", h.Engines()[0].User)
	code, _ := alice.Wait(time.Minute)
	require.Zero(t, code)
	require.Equal(t, 2, s.Binds("uid=alice,ou=people,"+env.LDAPBase))
}
