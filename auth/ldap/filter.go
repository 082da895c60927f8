// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

const (
	// people are the classes that an entry of a user may have, as in Kyuubi.
	people = "(|(objectClass=person)(objectClass=user)(objectClass=inetOrgPerson))"
	// more than one entry are ambiguous.
	one = 1
	// many bounds lists: the groups of a user, the entries of a custom query.
	many = 1000
	// noAttributes asks for entries without attributes (RFC 4511 section 4.5.1.8).
	noAttributes = "1.1"
)

// errCut is an answer, but only a part of it, and it will be the next time.
var errCut = errors.New("the list is longer than what the directory gives or the gateway takes")

// admit applies the filters of the settings, in Kyuubi's order, and tells the
// groups of the user if they are asked for.
func (d *directory) admit() (groups []string, err error) {
	steps := []func() error{d.checkExists, d.checkUser, d.checkGroup}
	if d.CustomQuery != "" {
		steps = []func() error{d.checkQuery}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if d.Groups {
		return d.groups()
	}
	return nil, nil
}

// checkExists finds the user's own entry where filters look at users.
func (d *directory) checkExists() error {
	if len(d.UserFilter)+len(d.GroupFilter) == 0 {
		return nil
	}
	_, err := d.userDN()
	return err
}

func (d *directory) checkUser() error {
	if len(d.UserFilter) == 0 || containsFold(d.UserFilter, d.user) {
		return nil
	}
	return refuse("userFilter does not name this user")
}

func (d *directory) checkGroup() error {
	if len(d.GroupFilter) == 0 {
		return nil
	}
	member := d.listedByGroup
	if d.UserMembershipKey != "" {
		member = d.listsGroup
	}
	ok, err := member()
	if err == nil && !ok {
		err = refuse("in none of the groups of groupFilter")
	}
	return err
}

// listedByGroup says whether a group of the filter lists the user.
func (d *directory) listedByGroup() (bool, error) {
	names, err := d.groupsThatList()
	return slices.ContainsFunc(names, func(name string) bool { return containsFold(d.GroupFilter, name) }), err
}

// listsGroup says whether the user's entry lists a group of the filter.
func (d *directory) listsGroup() (bool, error) {
	for _, name := range d.GroupFilter {
		group, err := d.find(d.groupBases(), groupNamed(d.Rules, name))
		if err != nil {
			return false, err
		}
		if len(group) != one { // none, or nobody knows which
			continue
		}
		found, err := d.own(listing(d.Rules, group[0].DN), noAttributes)
		if err != nil || len(found) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// checkQuery lets in who is found by the custom query.
func (d *directory) checkQuery() error {
	listed, err := d.search(d.request(d.BaseDN, many, d.CustomQuery, d.GroupMembershipKey))
	if slices.ContainsFunc(listed, d.isUser) {
		return nil
	}
	if err != nil {
		return err
	}
	if strings.Contains(d.CustomQuery, "%s") {
		found, err := d.find([]string{d.BaseDN}, strings.ReplaceAll(d.CustomQuery, "%s", ldap.EscapeFilter(d.user)))
		if err != nil || len(found) == one {
			return err
		}
	}
	return refuse("customLDAPQuery does not find this user")
}

// isUser says whether an entry, or a member that it lists, is the user. Where the
// user's entry is known, a DN must be that one.
func (d *directory) isUser(e *ldap.Entry) bool {
	return slices.ContainsFunc(append(e.GetEqualFoldAttributeValues(d.GroupMembershipKey), e.DN), func(name string) bool {
		if d.dn != "" && strings.Contains(name, "=") {
			return sameDN(name, d.dn)
		}
		return strings.EqualFold(name, d.user) || strings.EqualFold(shortName(name), d.user)
	})
}

// groups are the short names of the user's groups, in alphabetical order.
func (d *directory) groups() (names []string, err error) {
	if d.UserMembershipKey == "" {
		names, err = d.groupsThatList()
	} else {
		names, err = d.groupsListed()
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

func (d *directory) groupsThatList() ([]string, error) {
	dn, err := d.userDN()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, base := range d.groupBases() {
		found, err := d.search(d.request(base, many, groupsOf(d.Rules, d.user, dn), noAttributes))
		if err != nil { // a part of the groups would pass for all
			return nil, err
		}
		for _, group := range found {
			names = append(names, shortName(group.DN))
		}
	}
	return names, nil
}

func (d *directory) groupsListed() (names []string, err error) {
	found, err := d.own("(objectClass=*)", d.UserMembershipKey)
	for _, e := range found {
		for _, group := range e.GetEqualFoldAttributeValues(d.UserMembershipKey) {
			names = append(names, shortName(group))
		}
	}
	return names, err
}

// own gives the user's entry, if a filter fits it.
func (d *directory) own(filter, attribute string) ([]*ldap.Entry, error) {
	dn, err := d.userDN()
	if err != nil {
		return nil, err
	}
	r := d.request(dn, one, filter, attribute)
	r.Scope = ldap.ScopeBaseObject
	return d.search(r)
}

// userDN finds the one entry of the user: by the patterns, else by name.
func (d *directory) userDN() (string, error) {
	if d.dn != "" {
		return d.dn, nil
	}
	for _, pattern := range d.UserDNPatterns {
		rdn, base, _ := strings.Cut(pattern, ",")
		found, err := d.find([]string{base}, "("+strings.ReplaceAll(rdn, "%s", ldap.EscapeFilter(d.user))+")")
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return d.only(found)
		}
	}
	found, err := d.find(d.userBases(), personNamed(d.user))
	if err != nil {
		return "", err
	}
	return d.only(found)
}

func (d *directory) only(found []*ldap.Entry) (string, error) {
	if len(found) != one {
		return "", refuse("%d entries have this name, want one", len(found))
	}
	d.dn = found[0].DN
	return d.dn, nil
}

// find looks for one entry below bases, without its attributes. If there are
// more, there are two at least in the result.
func (d *directory) find(bases []string, filter string) (all []*ldap.Entry, err error) {
	for _, base := range bases {
		found, err := d.search(d.request(base, one+1, filter, noAttributes))
		if err != nil && !(ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded) && len(found) > one) {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// search gives what is found, only a part of it with an error, as when there is
// more than the limit of the request or of the server. A place that does not exist
// holds nothing.
func (d *directory) search(r *ldap.SearchRequest) (found []*ldap.Entry, err error) {
	result, err := d.conn.Search(r)
	if result != nil {
		found = result.Entries
	}
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject):
		return nil, nil
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded):
		err = fmt.Errorf("%w: %w", errCut, err)
	}
	if err != nil {
		return found, fmt.Errorf("search %s below %s: %w", r.Filter, r.BaseDN, err)
	}
	return found, nil
}

// request is a search that follows neither aliases nor referrals.
func (d *directory) request(base string, limit int, filter, attribute string) *ldap.SearchRequest {
	seconds := max(1, int(d.conn.limit.Seconds()))
	return ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, limit, seconds, false,
		filter, []string{attribute}, nil)
}

func (r *Rules) userBases() []string { return basesOf(r.UserDNPatterns, r.BaseDN) }

func (r *Rules) groupBases() []string { return basesOf(r.GroupDNPatterns, r.BaseDN) }

// basesOf are the places of patterns, or the base if there are none.
func basesOf(patterns []string, base string) []string {
	if len(patterns) == 0 {
		return []string{base}
	}
	var bases []string
	for _, p := range patterns {
		_, under, _ := strings.Cut(p, ",")
		if !slices.Contains(bases, under) {
			bases = append(bases, under)
		}
	}
	return bases
}

func personNamed(user string) string {
	name := ldap.EscapeFilter(user)
	return "(&" + people + "(|(uid=" + name + ")(sAMAccountName=" + name + ")))"
}

// groupNamed also takes the common name: where people are named by uid, as is
// the default, groups have none.
func groupNamed(r *Rules, group string) string {
	name := ldap.EscapeFilter(group)
	return fmt.Sprintf("(&(objectClass=%s)(|(%s=%s)(cn=%s)))", r.GroupClassKey, r.GUIDKey, name, name)
}

func groupsOf(r *Rules, user, dn string) string {
	key := r.GroupMembershipKey
	return fmt.Sprintf("(&(objectClass=%s)(|(%s=%s)(%s=%s)))", r.GroupClassKey, key, ldap.EscapeFilter(dn), key, ldap.EscapeFilter(user))
}

func listing(r *Rules, group string) string {
	return fmt.Sprintf("(&%s(%s=%s))", people, r.UserMembershipKey, ldap.EscapeFilter(group))
}

// shortName is the value of the first RDN of a DN; any other text is its own.
func shortName(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 || len(parsed.RDNs[0].Attributes) == 0 {
		return dn
	}
	return parsed.RDNs[0].Attributes[0].Value
}

func sameDN(a, b string) bool {
	one, err := ldap.ParseDN(a)
	other, fault := ldap.ParseDN(b)
	return err == nil && fault == nil && one.EqualFold(other)
}

func containsFold(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}
