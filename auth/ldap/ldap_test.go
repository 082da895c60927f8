// SPDX-License-Identifier: Apache-2.0

package ldap_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
	"roundhouse/auth/authtest"
	"roundhouse/auth/ldap"
	"roundhouse/integration-tests/env"
	"roundhouse/internal/errs"
)

// until is a context that ends with a channel.
func until(stop <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with the channel
		<-stop
		cancel()
	}()
	return ctx
}

var alicesDN = "uid=alice,ou=people," + env.LDAPBase

func TestConforms(t *testing.T) {
	s := env.StartSlapd(t)
	o := options(s)
	o.Rules.Groups = true
	good := "alice:" + env.LDAPPassword("alice")
	bad := map[string]auth.Request{"nothing": {Peer: authtest.Loopback}, "TLS needed": request(good)}
	remote := bad["TLS needed"]
	remote.Peer = authtest.Remote
	bad["TLS needed"] = remote
	for name, text := range map[string]string{
		"wrong password": "alice:wrong-password-0123", "no password": "alice:", "blank password": "alice: ", "a password of another": "alice:" + env.LDAPPassword("bob"),
		"nobody": "nobody:" + env.LDAPPassword("alice"), "no name": ":" + env.LDAPPassword("alice"), "NUL": good + "\x00", "NUL in the name": "alice\x00:" + env.LDAPPassword("alice"),
		"no colon": "alice", "a DN": alicesDN + ":" + env.LDAPPassword("alice"), "service account": "gateway:" + env.LDAPServicePassword,
	} {
		bad[name] = request(text)
	}
	authtest.Run(t, authtest.Subject{
		Authenticator: ask(t, o).chain, Good: request(good), Bad: bad,
		Want: auth.Identity{User: "alice", RealUser: "alice", Groups: []string{"admins", "analysts"}, Method: ldap.Method},
	})
}

// TestOnePersonIsOneUser: spellings of a name are one user, whom the directory
// is asked about once.
func TestOnePersonIsOneUser(t *testing.T) {
	s := env.StartSlapd(t)
	a := ask(t, options(s))
	for _, name := range []string{"alice", "Alice", "ALICE", "alice@example.test", "Alice@EXAMPLE.TEST", "alice/laptop@X"} {
		id, err := a.login(name, env.LDAPPassword("alice"))
		require.NoError(t, err, name)
		require.Equal(t, "alice", id.User)
	}
	require.Equal(t, 1, s.Binds(""))
}

// TestPlaces: the ways of settings to the entry of a user.
func TestPlaces(t *testing.T) {
	s := env.StartSlapd(t)
	for name, tt := range map[string]struct {
		set     func(*ldap.Options)
		in, out []string
	}{
		"patterns":            {func(*ldap.Options) {}, []string{"alice", "dave", "twin"}, nil},
		"guidKey and baseDN":  {func(o *ldap.Options) { o.Rules.UserDNPatterns, o.Rules.BaseDN = nil, "ou=people,"+env.LDAPBase }, []string{"alice"}, []string{"dave"}},
		"account, below base": {func(o *ldap.Options) { o.Rules.UserDNPatterns = nil; byAccount(o) }, []string{"alice", "dave"}, []string{"twin", "gateway", "nobody"}},
		"account, patterns":   {byAccount, []string{"alice", "dave", "twin"}, []string{"nobody"}},
		"StartTLS":            {func(o *ldap.Options) { o.Servers.URLs, o.Servers.StartTLS = []string{"ldap://" + s.Plain}, true }, []string{"alice"}, nil},
		"a server that is away": {func(o *ldap.Options) {
			o.Servers.URLs = []string{"ldaps://127.0.0.1:1", "ldap://127.0.0.1:1", "ldaps://" + s.Secure}
		}, []string{"alice", "bob"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(s)
			tt.set(&o)
			requireInOut(t, ask(t, o), tt.in, tt.out)
		})
	}
}

func byAccount(o *ldap.Options) {
	o.Rules.BindDN, o.Rules.BindPassword = env.LDAPService, env.LDAPServicePassword
}

func requireInOut(t *testing.T, a asker, in, out []string) {
	t.Helper()
	for _, user := range in {
		_, err := a.login(user, env.LDAPPassword(user))
		require.NoError(t, err, user)
		_, err = a.login(user, "wrong")
		require.True(t, errs.Is(err, errs.Unauthenticated), "%s: %v", user, err)
	}
	for _, user := range out {
		_, err := a.login(user, env.LDAPPassword(user))
		require.True(t, errs.Is(err, errs.Unauthenticated), "%s: %v", user, err)
	}
}

// TestFilters: every rule of who comes in, with an account and without.
func TestFilters(t *testing.T) {
	s := env.StartSlapd(t)
	for name, tt := range map[string]struct {
		set     func(*ldap.Rules)
		in, out []string
	}{
		"none":                      {func(*ldap.Rules) {}, []string{"alice", "bob", "carol", "dave"}, nil},
		"users":                     {func(r *ldap.Rules) { r.UserFilter = []string{"ALICE", "bob"} }, []string{"alice", "bob"}, []string{"carol", "dave"}},
		"groups":                    {func(r *ldap.Rules) { r.GroupFilter = []string{"nobodies", "Analysts"} }, []string{"alice", "bob"}, []string{"carol", "dave"}},
		"groups, by base":           {func(r *ldap.Rules) { r.GroupFilter, r.GroupDNPatterns = []string{"admins"}, nil }, []string{"alice", "dave"}, []string{"bob"}},
		"groups that are not there": {func(r *ldap.Rules) { r.GroupFilter = []string{"nobodies"} }, nil, []string{"alice"}},
		"users and groups":          {func(r *ldap.Rules) { r.UserFilter, r.GroupFilter = []string{"bob", "dave"}, []string{"analysts"} }, []string{"bob"}, []string{"alice", "dave"}},
		"users' own lists":          {func(r *ldap.Rules) { r.UserMembershipKey, r.GroupFilter = "memberOf", []string{"analysts", "x"} }, []string{"alice", "bob"}, []string{"carol", "dave"}},
		"of another class":          {func(r *ldap.Rules) { r.GroupClassKey, r.GroupFilter = "posixGroup", []string{"analysts"} }, nil, []string{"alice"}},
		"by another attribute":      {func(r *ldap.Rules) { r.GroupMembershipKey, r.GroupFilter = "owner", []string{"analysts"} }, nil, []string{"alice"}},
		"groups elsewhere": {func(r *ldap.Rules) {
			r.GroupDNPatterns, r.GroupFilter = []string{"cn=%s,ou=no," + env.LDAPBase}, []string{"analysts"}
		}, nil, []string{"alice"}},
		"a list":             {func(r *ldap.Rules) { r.CustomQuery = "(&(objectClass=person)(|(uid=alice)(uid=dave)))" }, []string{"alice", "dave"}, []string{"bob"}},
		"members of a group": {func(r *ldap.Rules) { r.CustomQuery = "(&(objectClass=groupOfNames)(cn=admins))" }, []string{"alice", "dave"}, []string{"bob"}},
		"one entry": {func(r *ldap.Rules) {
			r.CustomQuery = "(&(uid=%s)(memberOf=cn=analysts,ou=groups," + env.LDAPBase + "))"
		}, []string{"alice", "bob"}, []string{"dave"}},
		"two entries":             {func(r *ldap.Rules) { r.CustomQuery = "(|(cn=%s)(cn=admins))" }, []string{"alice", "dave"}, []string{"bob"}},
		"a query ends the others": {func(r *ldap.Rules) { r.CustomQuery, r.UserFilter = "(uid=%s)", []string{"bob"} }, []string{"alice"}, nil},
	} {
		for who, account := range map[string]func(*ldap.Options){"": func(*ldap.Options) {}, " by account": byAccount} {
			t.Run(name+who, func(t *testing.T) {
				t.Parallel()
				o := options(s)
				tt.set(&o.Rules)
				account(&o)
				requireInOut(t, ask(t, o), tt.in, tt.out)
			})
		}
	}
}

func TestGroups(t *testing.T) {
	s := env.StartSlapd(t)
	for _, key := range []string{"", "memberOf"} {
		o := options(s)
		o.Rules.Groups, o.Rules.UserMembershipKey = true, key
		a := ask(t, o)
		for user, want := range map[string][]string{"alice": {"admins", "analysts"}, "dave": {"admins"}, "carol": nil} {
			id, err := a.login(user, env.LDAPPassword(user))
			require.NoError(t, err)
			require.Equal(t, want, id.Groups, "%s by %q", user, key)
		}
	}
}

// TestEntryIsTheOneThatSignedIn, not another one of the same name.
func TestEntryIsTheOneThatSignedIn(t *testing.T) {
	s := env.StartSlapd(t)
	for name, set := range map[string]func(*ldap.Rules){
		"groups":          func(r *ldap.Rules) { r.Groups = true },
		"own list":        func(r *ldap.Rules) { r.Groups, r.UserMembershipKey = true, "memberOf" },
		"filter":          func(r *ldap.Rules) { r.GroupFilter = []string{"elders"} },
		"filter by list":  func(r *ldap.Rules) { r.GroupFilter, r.UserMembershipKey = []string{"elders"}, "memberOf" },
		"query of groups": func(r *ldap.Rules) { r.CustomQuery = "(&(objectClass=groupOfNames)(cn=elders))" },
		"query of people": func(r *ldap.Rules) { r.CustomQuery = "(memberOf=cn=elders,ou=groups," + env.LDAPBase + ")" },
	} {
		o := options(s)
		set(&o.Rules)
		a := ask(t, o)
		elder, err := a.login("twin", env.LDAPPassword("twin"))
		require.NoError(t, err, name)
		younger, err := a.login("twin", env.LDAPPassword("staff-twin"))
		if o.Rules.Groups {
			require.NoError(t, err, name)
			require.Equal(t, []string{"elders"}, elder.Groups, name)
			require.Empty(t, younger.Groups, name)
			continue
		}
		require.True(t, errs.Is(err, errs.Unauthenticated), "%s: %v", name, err)
	}
}

// TestDomain: another domain than that of the settings is somebody else's.
func TestDomain(t *testing.T) {
	s := env.StartSlapd(t)
	o := options(s)
	byAccount(&o)
	o.Rules.Domain = "example.test"
	a := ask(t, o)
	for name, in := range map[string]bool{"alice": true, "alice@EXAMPLE.test": true, "alice@example.org": false, "alice@": false, "alice@x@example.test": false} {
		_, err := a.login(name, env.LDAPPassword("alice"))
		require.Equal(t, in, err == nil, "%s: %v", name, err)
	}
}

// TestOneBind: a hundred logins of one user at once are one bind, and so are
// those of a wrong password.
func TestOneBind(t *testing.T) {
	s := env.StartSlapd(t)
	a := ask(t, options(s))
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			_, err := a.login("carol", env.LDAPPassword("carol"))
			require.NoError(t, err)
		})
		all.Go(func() {
			_, err := a.login("bob", "wrong")
			require.True(t, errs.Is(err, errs.Unauthenticated))
		})
	}
	all.Wait()
	require.Equal(t, 1, s.Binds("uid=carol,ou=people,"+env.LDAPBase))
	require.Equal(t, 1, s.Binds("uid=bob,ou=people,"+env.LDAPBase))
}

// TestAway: while the directory is away those who came in before do, others are
// told so at once; and all is well again after it.
func TestAway(t *testing.T) {
	s := env.StartSlapd(t)
	o := options(s)
	o.CacheTTL = time.Nanosecond
	a := ask(t, o)
	_, err := a.login("alice", env.LDAPPassword("alice"))
	require.NoError(t, err)
	s.Stop()
	_, err = a.login("alice", env.LDAPPassword("alice"))
	require.NoError(t, err)
	for range 20 {
		started := time.Now()
		_, err = a.login("bob", env.LDAPPassword("bob"))
		require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
		require.Less(t, time.Since(started), time.Second)
	}
	s.Start()
	require.Eventually(t, func() bool {
		_, err := a.login("bob", env.LDAPPassword("bob"))
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
	_, err = a.login("alice", "wrong")
	require.True(t, errs.Is(err, errs.Unauthenticated))
}

// TestKnownWhileSilent: who came in before waits for a silent directory once, and
// is no guesser if that takes too long.
func TestKnownWhileSilent(t *testing.T) {
	s := env.StartSlapd(t)
	link := env.NewLink(t, s.Plain)
	o := options(s)
	o.Servers.URLs, o.CacheTTL, o.Timeout = []string{"ldap://" + link.Addr}, time.Nanosecond, 500*time.Millisecond
	var log strings.Builder
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	a := ask(t, o)
	_, err := a.login("alice", env.LDAPPassword("alice"))
	require.NoError(t, err)
	link.Darken()
	hasty, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = a.chain.Authenticate(hasty, request("alice:"+env.LDAPPassword("alice")))
	require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
	for range 60 {
		<-time.After(50 * time.Millisecond) // several pauses
		before := time.Now()
		_, err = a.login("alice", env.LDAPPassword("alice"))
		require.NoError(t, err)
		_, err = a.login("bob", "x")
		require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
		require.Less(t, time.Since(before), 2*o.Timeout)
	}
	require.Equal(t, 1, strings.Count(log.String(), "the directory cannot be asked"))
}

// TestListThatIsCut is no outage: who waits for it comes in no sooner, the log has the
// reason, and the directory is not asked again at once.
func TestListThatIsCut(t *testing.T) {
	s := env.StartSlapd(t)
	s.Limit(1)
	for name, set := range map[string]func(*ldap.Options){
		"directly":   func(*ldap.Options) {},
		"by account": byAccount,
	} {
		o := options(s)
		o.Rules.CustomQuery = "(objectClass=person)"
		set(&o)
		var log strings.Builder
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		a, before := ask(t, o), strings.Count(s.Log(), "SRCH base")
		var searches int
		for range 3 {
			_, err := a.login("bob", env.LDAPPassword("bob"))
			require.True(t, errs.Is(err, errs.AuthUnavailable), "%s: %v", name, err)
			require.ErrorContains(t, err, "longer than the directory gives", name)
			require.NotContains(t, err.Error(), "minute", name)
			if searches == 0 {
				searches = strings.Count(s.Log(), "SRCH base")
				require.Greater(t, searches, before)
			}
		}
		require.Equal(t, searches, strings.Count(s.Log(), "SRCH base"), name)
		require.Equal(t, 1, strings.Count(log.String(), "only a part of a list"), name)
		require.Contains(t, log.String(), o.Rules.CustomQuery, name)
		require.NotContains(t, log.String(), "the directory cannot be asked", name)
	}
}

// TestNewAuthorities hold for the next connection.
func TestNewAuthorities(t *testing.T) {
	s := env.StartSlapd(t)
	o := options(s)
	other, _ := env.Certificate(t)
	good, err := os.ReadFile(s.CA)
	require.NoError(t, err)
	o.Servers.CAFile = other
	a := ask(t, o)
	_, err = a.login("alice", env.LDAPPassword("alice"))
	require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
	require.NoError(t, os.WriteFile(other, good, 0o600))
	require.Eventually(t, func() bool {
		_, err = a.login("alice", env.LDAPPassword("alice"))
		return err == nil
	}, 5*time.Second, 50*time.Millisecond)
}

// TestUnknownAuthority: the log names the setting for it, by either way to TLS.
func TestUnknownAuthority(t *testing.T) {
	s := env.StartSlapd(t)
	other, _ := env.Certificate(t)
	for _, url := range []string{"ldaps://" + s.Secure, "ldap://" + s.Plain} {
		for _, file := range []string{other, ""} {
			var log strings.Builder
			o := options(s)
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			o.Servers.URLs, o.Servers.StartTLS, o.Servers.CAFile = []string{url}, true, file
			_, err := ask(t, o).login("alice", env.LDAPPassword("alice"))
			require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
			require.Contains(t, log.String(), "kyuubi.authentication.ldap.ssl.ca.path", "%s %q", url, file)
		}
	}
}

// TestSilence: a directory that takes connections and says nothing, and one that
// is not who it should be, hold nobody up.
func TestSilence(t *testing.T) {
	s := env.StartSlapd(t)
	silent := listen(t)
	for name, set := range map[string]func(*ldap.Options){
		"ldap":                                  func(o *ldap.Options) { o.Servers.URLs = []string{"ldap://" + silent} },
		"ldaps":                                 func(o *ldap.Options) { o.Servers.URLs = []string{"ldaps://" + silent} },
		"StartTLS":                              func(o *ldap.Options) { o.Servers.URLs, o.Servers.StartTLS = []string{"ldap://" + silent}, true },
		"a certificate that nobody vouches for": func(o *ldap.Options) { o.Servers.CAFile, _ = env.Certificate(t) },
		"StartTLS, the same": func(o *ldap.Options) {
			o.Servers.URLs, o.Servers.StartTLS = []string{"ldap://" + s.Plain}, true
			o.Servers.CAFile, _ = env.Certificate(t)
		},
		"an account that is refused": func(o *ldap.Options) { byAccount(o); o.Rules.BindPassword = "old" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(s)
			o.Timeout = time.Second
			set(&o)
			a, started := ask(t, o), time.Now()
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					_, err := a.login("alice", strings.Repeat("x", i+1))
					require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
				})
			}
			all.Wait()
			require.Less(t, time.Since(started), 4*time.Second)
		})
	}
}

// TestCallerGoesAway: who gives up is let go at once.
func TestCallerGoesAway(t *testing.T) {
	o := options(env.StartSlapd(t))
	o.Servers.URLs, o.Timeout = []string{"ldap://" + listen(t)}, 500*time.Millisecond
	a := ask(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := a.chain.Authenticate(ctx, request("alice:x"))
	require.ErrorContains(t, err, "gave up waiting for the directory")
	require.Less(t, time.Since(started), o.Timeout)
}

// listen is an address that takes connections and reads them, without a word.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String()
}
