// SPDX-License-Identifier: Apache-2.0

package proxyuser

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
	"roundhouse/internal/recall"
)

// groupsOf is what the tests know of groups.
func groupsOf(_ context.Context, user string) ([]string, error) {
	switch user {
	case "carol":
		return []string{"staff", "analysts"}, nil
	case "lost":
		return nil, errors.New("the directory does not answer")
	}
	return nil, nil
}

func TestHadoopsRules(t *testing.T) {
	r, err := New(map[string]string{
		"hue.users": "alice, bob", "hue.groups": "analysts", "hue.hosts": "10.1.0.0/16, 192.0.2.7,hue.example.org",
		"knox.groups": "*", "knox.hosts": "*", "any.users": "*", "any.hosts": "2001:db8::/32",
		"j.doe.users": "alice", "j.doe.hosts": "127.0.0.1",
	}, groupsOf)
	require.NoError(t, err)
	r.hosts.Ask = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "hue.example.org" {
			return nil, nil
		}
		return []netip.Addr{netip.MustParseAddr("198.51.100.3")}, nil
	}
	for name, tt := range map[string]struct{ real, user, from, why string }{
		"a listed user":             {"hue", "alice", "10.1.2.3", ""},
		"a listed group":            {"hue", "carol", "10.1.2.3", ""},
		"a single address":          {"hue", "bob", "192.0.2.7", ""},
		"the same in IPv6 clothes":  {"hue", "bob", "::ffff:192.0.2.7", ""},
		"a host by name":            {"hue", "bob", "198.51.100.3", ""},
		"a user with a dot":         {"j.doe", "alice", "127.0.0.1", ""},
		"everybody by groups":       {"knox", "dave", "203.0.113.9", ""},
		"everybody by users":        {"any", "dave", "2001:db8::7", ""},
		"not from there":            {"any", "dave", "192.0.2.1", "any.hosts does not list the address 192.0.2.1"},
		"an address beside it":      {"hue", "alice", "192.0.2.8", "hue.hosts does not list"},
		"a user who is not listed":  {"hue", "dave", "10.1.2.3", "neither hadoop.proxyuser.hue.users nor .groups lists user dave"},
		"case counts":               {"hue", "Alice", "10.1.2.3", "neither"},
		"who may act for nobody":    {"alice", "bob", "10.1.2.3", "alice may act for nobody"},
		"not the other way round":   {"bob", "hue", "10.1.2.3", "bob may act for nobody"},
		"groups that nobody tells":  {"hue", "lost", "10.1.2.3", "groups of user lost cannot be found out now"},
		"no address, as of sockets": {"hue", "alice", "", "hue.hosts does not list"},
	} {
		from, _ := netip.ParseAddr(tt.from)
		err := r.Check(t.Context(), tt.real, tt.user, from)
		if tt.why == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, tt.why, name)
		require.Equal(t, tt.user == "lost", errs.Is(err, errs.AuthUnavailable), name)
	}
}

// TestHostsThatNobodyTells: a fault of the name service is no refusal, the last
// answer holds for a while, and a host that is no more lets nobody in at once.
func TestHostsThatNobodyTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(map[string]string{"hue.users": "*", "hue.hosts": "other,hue"}, groupsOf)
		require.NoError(t, err)
		from := netip.MustParseAddr("10.0.0.1")
		asked, addresses, fault := 0, []netip.Addr{from}, error(nil)
		r.hosts.Ask = func(_ context.Context, host string) ([]netip.Addr, error) {
			if host == "other" {
				return nil, errors.New("no answer")
			}
			asked++
			if fault != nil {
				return nil, fault
			}
			return addresses, nil
		}
		check := func() error { return r.Check(t.Context(), "hue", "alice", from) }
		for range 3 {
			require.NoError(t, check(), "whatever is wrong with the other host")
		}
		require.Equal(t, 1, asked)
		fault = errors.New("no answer")
		time.Sleep(hold - 1)
		require.NoError(t, check())
		time.Sleep(recall.Again)
		for range 3 {
			require.True(t, errs.Is(check(), errs.AuthUnavailable), "an old address is no proof")
		}
		require.Equal(t, 3, asked)
		addresses, fault = nil, nil
		time.Sleep(recall.Again)
		require.True(t, errs.Is(check(), errs.AuthUnavailable), "the other host may be it")
		r.hosts.Ask = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
		time.Sleep(keep)
		require.ErrorContains(t, check(), "does not list the address")
	})
}

// TestLookup: who is not there is no fault.
func TestLookup(t *testing.T) {
	addresses, err := lookupHost(t.Context(), "localhost")
	require.NoError(t, err)
	require.Contains(t, addresses, netip.MustParseAddr("127.0.0.1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = lookupHost(ctx, "host.example.invalid")
	require.Error(t, err, "nobody was asked")
}

func TestFaultsNameTheSetting(t *testing.T) {
	for key, want := range map[string]struct{ settings map[string]string }{
		"hadoop.proxyuser.hue.hosts":  {map[string]string{"hue.users": "alice"}},
		"hadoop.proxyuser.hue.users":  {map[string]string{"hue.hosts": "*"}},
		"hadoop.proxyuser.hue.host":   {map[string]string{"hue.host": "*"}},
		"hadoop.proxyuser.hosts":      {map[string]string{"hosts": "*"}},
		"hadoop.proxyuser.*.hosts":    {map[string]string{"*.hosts": "*"}},
		"hadoop.proxyuser.hdp.hosts":  {map[string]string{"hdp.hosts": "10.0.0.0/64", "hdp.users": "*"}},
		"hadoop.proxyuser.knox.users": {map[string]string{"knox.users": "../x", "knox.hosts": "*"}},
	} {
		_, err := New(want.settings, groupsOf)
		var fault *Fault
		require.ErrorAs(t, err, &fault, key)
		require.Equal(t, key, fault.Key)
		require.NotEmpty(t, fault.Text)
	}
	r, err := New(nil, groupsOf)
	require.NoError(t, err)
	require.Error(t, r.Check(t.Context(), "hue", "alice", netip.Addr{}))
}
