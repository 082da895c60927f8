// SPDX-License-Identifier: Apache-2.0

// Package rules holds what the administrator's rules file says: who may connect
// and from where, which profiles, share levels and proxy users they may ask
// for, and which operators may see or end what belongs to others.
//
// The rules are read from the top, and the first one that fits the user and the
// address decides about everything. Whom none fits is refused. Nothing here
// gives anybody more than the settings do, except that operators may see and
// end the sessions and engines of the users that they are named for. See
// docs/security.md for the format.
package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Person is whom a question is about.
type Person struct {
	User string
	// Groups may be empty: then rules for groups do not fit.
	Groups []string
	// From is the address of the connection; the zero address fits rules without
	// networks only.
	From netip.Addr
}

// Action is what an operator may do to what belongs to others.
type Action string

// The actions.
const (
	See Action = "see"
	End Action = "end"
)

// people are whom an entry is for.
type people struct {
	users, groups []string
	everyone      bool
}

func (p people) fit(user string, groups []string) bool {
	return p.everyone || slices.Contains(p.users, user) ||
		slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(p.groups, g) })
}

// rule is one entry of the list rules.
type rule struct {
	name string
	line int
	who  people
	// from are networks; none stands for anywhere.
	from   []netip.Prefix
	refuse bool
	// profiles, shareLevels and proxyUsers are what may be asked for; nil is what
	// the settings allow, an empty list nothing.
	profiles, shareLevels, proxyUsers []string
}

// operator is one entry of the list operators.
type operator struct {
	name string
	who  people
	of   people
	may  []Action
}

// Rules are the content of one file. The nil Rules, for no file, allow what the
// settings do and know no operators.
type Rules struct {
	rules     []rule
	operators []operator
}

// String names the rule for people: its name and line.
func (r *rule) String() string { return fmt.Sprintf("%q in line %d", r.name, r.line) }

// For is the rule that decides about p, nil if none fits.
func (r *Rules) For(p Person) *rule {
	for i := range r.rules {
		if rule := &r.rules[i]; rule.fits(p) {
			return rule
		}
	}
	return nil
}

func (r *rule) fits(p Person) bool {
	return r.who.fit(p.User, p.Groups) && (len(r.from) == 0 || slices.ContainsFunc(r.from, func(n netip.Prefix) bool { return n.Contains(p.From) }))
}

// Wish is what somebody asks for beyond connecting.
type Wish struct {
	// Profiles are those that the client names.
	Profiles []string
	// ShareLevel is that of the session's engine.
	ShareLevel string
	// ProxyUser is who the session is to belong to, "" for the caller.
	ProxyUser string
}

// Decision is an answer with its reason.
type Decision struct {
	Allowed bool
	// Why is a sentence without its end; it names the rule.
	Why string
}

// Decide answers whether p may connect and have what w names.
func (r *Rules) Decide(p Person, w Wish) Decision {
	if r == nil {
		return Decision{true, "there is no rules file"}
	}
	rule := r.For(p)
	switch {
	case rule == nil:
		return Decision{false, fmt.Sprintf("no rule fits user %s%s", p.User, fromText(p.From))}
	case rule.refuse:
		return Decision{false, fmt.Sprintf("rule %v refuses user %s%s", rule, p.User, fromText(p.From))}
	}
	if d := rule.grant("profile", rule.profiles, w.Profiles...); !d.Allowed {
		return d
	}
	if d := rule.grant("share level", rule.shareLevels, nonEmpty(w.ShareLevel)...); !d.Allowed {
		return d
	}
	if d := rule.grant("proxy user", rule.proxyUsers, nonEmpty(w.ProxyUser)...); !d.Allowed {
		return d
	}
	return Decision{true, fmt.Sprintf("rule %v decides about user %s%s", rule, p.User, fromText(p.From))}
}

// anything in a list stands for all.
const anything = "*"

func (r *rule) grant(what string, allowed []string, wished ...string) Decision {
	for _, w := range wished {
		if allowed != nil && !slices.Contains(allowed, anything) && !slices.Contains(allowed, w) {
			return Decision{false, fmt.Sprintf("rule %v does not allow the %s %q, only %s", r, what, w, listed(allowed))}
		}
	}
	return Decision{Allowed: true}
}

// Operates says whether a user may do this to what belongs to owner. Rules of
// operators for groups look at the groups of the owner, where they are known.
func (r *Rules) Operates(user string, groups []string, do Action, owner string, ownerGroups []string) bool {
	return r != nil && slices.ContainsFunc(r.operators, func(o operator) bool {
		return o.who.fit(user, groups) && slices.Contains(o.may, do) && o.of.fit(owner, ownerGroups)
	})
}

// IsOperator says whether a user may see anything of others at all.
func (r *Rules) IsOperator(user string, groups []string) bool {
	return r != nil && slices.ContainsFunc(r.operators, func(o operator) bool { return o.who.fit(user, groups) })
}

// Operations are the entries of operators that fit a user, for people.
func (r *Rules) Operations(user string, groups []string) (all []string) {
	if r == nil {
		return nil
	}
	for _, o := range r.operators {
		if o.who.fit(user, groups) {
			all = append(all, fmt.Sprintf("operator %q: may %v what belongs to %s", o.name, o.may, o.of))
		}
	}
	return all
}

// String tells whom an entry is for.
func (p people) String() string {
	if p.everyone {
		return "everyone"
	}
	return strings.TrimPrefix(prefixed("users", p.users)+prefixed("groups", p.groups), " ")
}

func prefixed(what string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " " + what + " " + strings.Join(names, ", ")
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func fromText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return " from " + a.String()
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
