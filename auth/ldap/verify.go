// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Rules say under which names people sign in and who of them may. Fields are
// the settings of Kyuubi of the same names (kyuubi.authentication.ldap.*).
type Rules struct {
	Domain, BaseDN, GUIDKey               string
	UserDNPatterns, GroupDNPatterns       []string
	UserFilter, GroupFilter               []string
	GroupMembershipKey, UserMembershipKey string
	GroupClassKey, CustomQuery            string
	BindDN, BindPassword                  string
	// Groups asks for the groups of users.
	Groups bool
}

// check compiles what the settings hold of LDAP's languages.
func (r *Rules) check() error {
	if r.CustomQuery != "" {
		if _, err := ldap.CompileFilter(strings.ReplaceAll(r.CustomQuery, "%s", "x")); err != nil {
			return fmt.Errorf("the filter customLDAPQuery: %w", err)
		}
	}
	names := []string{r.BaseDN}
	for _, pattern := range slices.Concat(r.UserDNPatterns, r.GroupDNPatterns) {
		names = append(names, strings.ReplaceAll(pattern, "%s", "x"))
	}
	for _, name := range names {
		if _, err := ldap.ParseDN(name); err != nil {
			return fmt.Errorf("%q is no DN: %w", name, err)
		}
	}
	return nil
}

// verify tells whether a user with a password comes in, and the user's groups.
// A refusal says no; any other error that the directory cannot tell.
func (r *Rules) verify(c *conn, user, password string) (groups []string, err error) {
	d := &directory{Rules: r, conn: c, user: user}
	if r.BindDN == "" {
		if err := d.bindDirectly(password); err != nil {
			return nil, err
		}
		return d.admit()
	}
	if err := c.Bind(r.BindDN, r.BindPassword); err != nil {
		return nil, fmt.Errorf("%w as %s: %w", errAccount, r.BindDN, err)
	}
	dn, err := d.userDN()
	if err != nil {
		return nil, err
	}
	if groups, err = d.admit(); err != nil {
		return nil, err
	}
	return groups, d.bind(dn, password)
}

// directory is asked about one user over one connection.
type directory struct {
	*Rules
	conn *conn
	user string
	dn   string // of the user, once found
}

// bindDirectly signs in under the first name that the directory accepts. A DN is
// that of the user's entry then; another entry may have the same short name.
func (d *directory) bindDirectly(password string) error {
	var err error
	for _, principal := range d.principals(d.user) {
		err = d.bind(principal, password)
		if err == nil && d.Domain == "" {
			d.dn = principal
		}
		if !errors.As(err, new(refusal)) {
			break
		}
	}
	return err
}

// principals are the names under which the user may be known, as Kyuubi makes
// them; there is one at least.
func (r *Rules) principals(user string) []string {
	if r.Domain != "" {
		return []string{user + "@" + r.Domain}
	}
	var all []string
	for _, pattern := range r.userPatterns() {
		all = append(all, strings.ReplaceAll(pattern, "%s", ldap.EscapeDN(user)))
	}
	return all
}

// userPatterns are those of the settings, or the one made of guidKey and baseDN.
func (r *Rules) userPatterns() []string {
	if len(r.UserDNPatterns) == 0 && r.BaseDN != "" {
		return []string{r.GUIDKey + "=%s," + r.BaseDN}
	}
	return r.UserDNPatterns
}

// bind signs in with the password of a user, which Basic and go-ldap have
// found not empty.
func (d *directory) bind(principal, password string) error {
	err := d.conn.Bind(principal, password)
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultConstraintViolation,
		ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultReferral) {
		return refuse("the directory refuses %s: %v", principal, err)
	}
	if err != nil {
		return fmt.Errorf("sign in as %s: %w", principal, err)
	}
	return nil
}
