// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"log/slog"

	"roundhouse/auth"
	"roundhouse/auth/ldap"
	"roundhouse/auth/throttle"
	"roundhouse/conf"
)

func ldapMethod(c *conf.Conf, log *slog.Logger) (auth.Method, error) {
	method, err := ldap.New(ldap.Options{
		Servers: ldap.Servers{
			URLs: conf.LDAPURL.Get(c), StartTLS: conf.LDAPStartTLS.Get(c), CAFile: conf.LDAPCAFile.Get(c),
			Connections: conf.LDAPConnections.Get(c),
		},
		Rules: ldap.Rules{
			Domain: conf.LDAPDomain.Get(c), BaseDN: conf.LDAPBaseDN.Get(c), GUIDKey: conf.LDAPGUIDKey.Get(c),
			UserDNPatterns: conf.LDAPUserDNPattern.Get(c), GroupDNPatterns: conf.LDAPGroupDNPattern.Get(c),
			UserFilter: conf.LDAPUserFilter.Get(c), GroupFilter: conf.LDAPGroupFilter.Get(c),
			GroupMembershipKey: conf.LDAPGroupMembershipKey.Get(c), UserMembershipKey: conf.LDAPUserMembershipKey.Get(c),
			GroupClassKey: conf.LDAPGroupClassKey.Get(c), CustomQuery: conf.LDAPCustomQuery.Get(c),
			BindDN: conf.LDAPBindDN.Get(c), BindPassword: conf.LDAPBindPassword.Get(c), Groups: conf.LDAPGroups.Get(c),
		},
		Timeout: conf.LDAPTimeout.Get(c), CacheTTL: conf.LDAPCacheTTL.Get(c), CacheAwayTTL: conf.LDAPCacheAwayTTL.Get(c), Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("%w (kyuubi.authentication.ldap.*)", err)
	}
	return method, nil
}

// throttleOf slows down whoever fails to log in.
func throttleOf(c *conf.Conf) *throttle.Throttle {
	return throttle.New(throttle.Options{
		UserFailures: conf.ThrottleUserFailures.Get(c), AddressFailures: conf.ThrottleAddressFailures.Get(c),
		LongestWait: conf.ThrottleLongestWait.Get(c),
	})
}
