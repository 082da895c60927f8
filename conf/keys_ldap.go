// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Where the method LDAP asks, and how it finds people there.
var (
	// LDAPURL is kyuubi.authentication.ldap.url.
	LDAPURL = Entry[[]string]{Meta{Key: "kyuubi.authentication.ldap.url", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Directory servers of the method `LDAP`, separated by spaces: `ldaps://host`, `ldap://host:port`. They are taken for copies of one directory: the first that answers is asked, and asked again until it fails."}, wordsKind()}

	// LDAPDomain is kyuubi.authentication.ldap.domain.
	LDAPDomain = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.domain", Since: "0.1.0", Scope: ScopeServer,
		Doc: "People sign in to the directory as `user@domain`, as Active Directory likes it. A user name that brings another domain is refused."}, textKind()}

	// LDAPBaseDN is kyuubi.authentication.ldap.baseDN.
	LDAPBaseDN = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.baseDN", Since: "0.1.0", Scope: ScopeServer,
		Deprecated: []string{"kyuubi.authentication.ldap.base.dn"},
		Doc:        "Where people and groups are looked for when no pattern says it. Without patterns and without a domain, the entry of a user is `<guidKey>=<user>,<baseDN>`."}, textKind()}

	// LDAPGUIDKey is kyuubi.authentication.ldap.guidKey.
	LDAPGUIDKey = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.guidKey", Default: "uid", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Attribute by which a user or a group is named, such as `uid` or `cn`."}, attributeKind()}

	// LDAPUserDNPattern is kyuubi.authentication.ldap.userDNPattern.
	LDAPUserDNPattern = Entry[[]string]{Meta{Key: "kyuubi.authentication.ldap.userDNPattern", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Where people are: patterns such as `uid=%s,ou=people,dc=example,dc=org`, separated by colons and tried in order. `%s` is the user."}, patternsKind()}

	// LDAPGroupDNPattern is kyuubi.authentication.ldap.groupDNPattern.
	LDAPGroupDNPattern = Entry[[]string]{Meta{Key: "kyuubi.authentication.ldap.groupDNPattern", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Where groups are: patterns such as `cn=%s,ou=groups,dc=example,dc=org`, separated by colons. `%s` is the group."}, patternsKind()}

	// LDAPBindDN is kyuubi.authentication.ldap.binddn.
	LDAPBindDN = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.binddn", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Account that finds the entry of a user, who then signs in to it with the password. Without it people sign in directly and searches are done in their names."}, textKind()}

	// LDAPBindPassword is kyuubi.authentication.ldap.bindpw.
	LDAPBindPassword = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.bindpw", Since: "0.1.0", Scope: ScopeServer, Secret: true,
		Doc: "Password of that account. A new one holds after a restart of the gateway."}, textKind()}
)

// Who of the people in the directory may come in.
var (
	// LDAPUserFilter is kyuubi.authentication.ldap.userFilter.
	LDAPUserFilter = Entry[[]string]{Meta{Key: "kyuubi.authentication.ldap.userFilter", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Only these users come in. Case does not count."}, listKind()}

	// LDAPGroupFilter is kyuubi.authentication.ldap.groupFilter.
	LDAPGroupFilter = Entry[[]string]{Meta{Key: "kyuubi.authentication.ldap.groupFilter", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Only members of one of these groups come in. Groups are given by their short names; case does not count."}, listKind()}

	// LDAPGroupMembershipKey is kyuubi.authentication.ldap.groupMembershipKey.
	LDAPGroupMembershipKey = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.groupMembershipKey", Default: "member", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Attribute of a group that lists its members, by DN or by user name."}, attributeKind()}

	// LDAPUserMembershipKey is kyuubi.authentication.ldap.userMembershipKey.
	LDAPUserMembershipKey = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.userMembershipKey", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Attribute of a user that lists the DNs of their groups, such as `memberOf`. If it is set, it is asked instead of the groups."}, attributeKind()}

	// LDAPGroupClassKey is kyuubi.authentication.ldap.groupClassKey.
	LDAPGroupClassKey = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.groupClassKey", Default: "groupOfNames", Since: "0.1.0", Scope: ScopeServer,
		Doc: "Object class of groups."}, attributeKind()}

	// LDAPCustomQuery is kyuubi.authentication.ldap.customLDAPQuery.
	LDAPCustomQuery = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.customLDAPQuery", Since: "0.1.0", Scope: ScopeServer,
		Doc: "An LDAP filter below `baseDN` that alone decides who comes in: those whose entry, or whose DN in the attribute `groupMembershipKey` of an entry, it finds; or, with the user in place of `%s`, those for whom it finds exactly one entry. Of a list that is longer than the directory gives at once, or than 1000 entries, only those in the part that comes get in: such a filter needs `%s`."}, textKind()}

	// LDAPGroups is kyuubi.authentication.ldap.groups.enabled.
	LDAPGroups = Entry[bool]{Meta{Key: "kyuubi.authentication.ldap.groups.enabled", Default: "false", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "The groups of a user, for rules and limits, are those of the directory, by short name and in alphabetical order. Without it they are asked of the operating system."}, boolKind()}
)

// How the directory is reached.
var (
	// LDAPStartTLS is kyuubi.authentication.ldap.start.tls.
	LDAPStartTLS = Entry[bool]{Meta{Key: "kyuubi.authentication.ldap.start.tls", Default: "false", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Connections to `ldap://` servers change to TLS before anything else is said (StartTLS, RFC 4511). Needed for every server on another machine that is not `ldaps://`."}, boolKind()}

	// LDAPCAFile is kyuubi.authentication.ldap.ssl.ca.path.
	LDAPCAFile = Entry[string]{Meta{Key: "kyuubi.authentication.ldap.ssl.ca.path", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "PEM file of the certificate authorities that vouch for the directory servers. Without it those of the operating system do. The name in the URL must be one of the certificate. A new file holds at once."}, pathKind()}

	// LDAPTimeout is kyuubi.authentication.ldap.timeout.
	LDAPTimeout = Entry[time.Duration]{Meta{Key: "kyuubi.authentication.ldap.timeout", Default: "PT5S", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "All that is asked of the directory for one login must be answered within so long, connecting included. Where a connection that lay idle does not answer within half of it, all is asked once more on a new one: one and a half times as long at most. A login waits for a free connection for so long at most before."}, positiveKind()}

	// LDAPConnections is kyuubi.authentication.ldap.connections.
	LDAPConnections = Entry[int]{Meta{Key: "kyuubi.authentication.ldap.connections", Default: "8", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "Connections to the directory that this gateway has at most, and so logins that are asked there at the same time."}, intKind(1, 256)}

	// LDAPCacheTTL is kyuubi.authentication.ldap.cache.ttl.
	LDAPCacheTTL = Entry[time.Duration]{Meta{Key: "kyuubi.authentication.ldap.cache.ttl", Default: "PT1M", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "The directory is asked about a user name and password that it found good again after so long. 0 asks it for every call. Passwords themselves are never kept."}, durationKind()}

	// LDAPCacheAwayTTL is kyuubi.authentication.ldap.cache.away.ttl.
	LDAPCacheAwayTTL = Entry[time.Duration]{Meta{Key: "kyuubi.authentication.ldap.cache.away.ttl", Default: "PT10M", Ours: true, Since: "0.1.0", Scope: ScopeServer,
		Doc: "While the directory cannot be asked, what it found good before stays good for so long."}, durationKind()}
)

// wordsKind is a list separated by white space.
func wordsKind() kind[[]string] {
	return kind[[]string]{"list", func(s string) ([]string, error) { return strings.Fields(s), nil }}
}

// attributeName is a name or an OID of LDAP (RFC 4512 section 1.4).
var attributeName = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)$`)

// attributeKind is the name of an attribute or a class, or "".
func attributeKind() kind[string] {
	return kind[string]{"name", func(s string) (string, error) {
		if s != "" && !attributeName.MatchString(s) {
			return "", fmt.Errorf("want the name of an LDAP attribute or class, letters, digits and hyphens, got %q", s)
		}
		return s, nil
	}}
}

// patternsKind is a list of DN patterns separated by colons. A pattern without
// %s would let everybody in who knows the password of one entry.
func patternsKind() kind[[]string] {
	return kind[[]string]{"list", func(s string) ([]string, error) {
		patterns := slices.DeleteFunc(strings.Split(s, ":"), func(p string) bool { return strings.TrimSpace(p) == "" })
		for i, p := range patterns {
			patterns[i] = strings.TrimSpace(p)
			rdn, base, _ := strings.Cut(patterns[i], ",")
			if !strings.HasSuffix(rdn, "=%s") || strings.Contains(base, "%s") || !strings.Contains(base, "=") {
				return nil, fmt.Errorf("want patterns such as uid=%%s,ou=people,dc=example,dc=org with one %%s for the name, got %q", p)
			}
		}
		return patterns, nil
	}}
}
