// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"net/url"
	"strings"
)

// checkLDAP looks whether the method LDAP could ask a directory, safely, and
// whether what it is told to look for can be found.
func checkLDAP(c *Conf) (faults Faults) {
	if !c.Uses(AuthLDAP) || c.Uses(AuthNone) {
		return nil
	}
	if len(LDAPURL.Get(c)) == 0 {
		return c.blame(LDAPURL.Key, "the method LDAP of kyuubi.authentication needs a directory to ask: name it, as in ldaps://directory.example.org")
	}
	for _, check := range []rule{checkLDAPServers, checkLDAPAccount, checkLDAPPlaces, checkLDAPQuery} {
		faults = append(faults, check(c)...)
	}
	return faults
}

func checkLDAPServers(c *Conf) (faults Faults) {
	for _, server := range LDAPURL.Get(c) {
		u, err := url.Parse(server)
		switch {
		case err != nil, u.Scheme != "ldap" && u.Scheme != "ldaps", u.Hostname() == "":
			faults = append(faults, c.blame(LDAPURL.Key, "%q is no directory server: write ldaps://host or ldap://host:port, several separated by spaces", server)...)
		case u.User != nil, strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
			faults = append(faults, c.blame(LDAPURL.Key, "%s holds more than a server and a port: a base goes into %s, an account into %s", u.Redacted(), LDAPBaseDN.Key, LDAPBindDN.Key)...)
		case u.Scheme == "ldap" && !isLoopback(u.Hostname()) && !LDAPStartTLS.Get(c):
			faults = append(faults, c.blame(LDAPURL.Key, "passwords would cross the network to %s in clear text: write ldaps://, or set %s=true", u.Host, LDAPStartTLS.Key)...)
		}
	}
	return faults
}

func checkLDAPAccount(c *Conf) Faults {
	account, password := LDAPBindDN.Get(c), LDAPBindPassword.Get(c)
	switch {
	case account != "" && password == "":
		return c.blame(LDAPBindPassword.Key, "%s is set, and without its password the directory would take the gateway for nobody in particular", LDAPBindDN.Key)
	case account == "" && password != "":
		return c.blame(LDAPBindDN.Key, "%s is set, but not the account that it belongs to", LDAPBindPassword.Key)
	}
	return nil
}

// checkLDAPPlaces looks whether people and groups can be found.
func checkLDAPPlaces(c *Conf) Faults {
	base := LDAPBaseDN.Get(c)
	people := base != "" || len(LDAPUserDNPattern.Get(c)) > 0
	groups := base != "" || len(LDAPGroupDNPattern.Get(c)) > 0
	byGroup := len(LDAPGroupFilter.Get(c)) > 0
	switch {
	case base != "" && !strings.Contains(base, "="):
		return c.blame(LDAPBaseDN.Key, "%q is no DN: write it as in dc=example,dc=org", base)
	case !people && LDAPBindDN.Get(c) != "":
		return c.blame(LDAPBaseDN.Key, "%s is to find people, but nothing says where: set this key or %s", LDAPBindDN.Key, LDAPUserDNPattern.Key)
	case !people && LDAPDomain.Get(c) == "":
		return c.blame(LDAPBaseDN.Key, "nothing says under which names people sign in to the directory: set this key, %s or %s", LDAPUserDNPattern.Key, LDAPDomain.Key)
	case !people && (byGroup || len(LDAPUserFilter.Get(c)) > 0 || LDAPGroups.Get(c)):
		return c.blame(LDAPBaseDN.Key, "the filters and groups of users need their entries, and nothing says where these are: set this key or %s", LDAPUserDNPattern.Key)
	case !groups && (byGroup || LDAPGroups.Get(c) && LDAPUserMembershipKey.Get(c) == ""):
		return c.blame(LDAPGroupDNPattern.Key, "groups are to be looked up, but nothing says where they are: set this key or %s", LDAPBaseDN.Key)
	}
	return nil
}

func checkLDAPQuery(c *Conf) Faults {
	query := LDAPCustomQuery.Get(c)
	switch {
	case query == "":
		return nil
	case len(LDAPUserFilter.Get(c))+len(LDAPGroupFilter.Get(c)) > 0:
		return c.blame(LDAPCustomQuery.Key, "it alone decides who comes in, so %s and %s would let in whom they should not: remove them or this key", LDAPUserFilter.Key, LDAPGroupFilter.Key)
	case LDAPBaseDN.Get(c) == "":
		return c.blame(LDAPCustomQuery.Key, "nothing says where it looks: set %s", LDAPBaseDN.Key)
	case !strings.HasPrefix(query, "(") || strings.Count(query, "(") != strings.Count(query, ")"):
		return c.blame(LDAPCustomQuery.Key, "%q is no LDAP filter: write it as in (&(objectClass=person)(uid=%%s))", query)
	}
	return nil
}

// checkLDAPAuthorities looks whether the certificates of the directory could be
// verified.
func checkLDAPAuthorities(c *Conf, _ func(string) string) Faults {
	if why := authoritiesFault(LDAPCAFile.Get(c), "the directory"); why != "" && c.Uses(AuthLDAP) {
		return c.blame(LDAPCAFile.Key, "%s", why)
	}
	return nil
}
