// SPDX-License-Identifier: Apache-2.0

package kerberos

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Rules map principals to users as Hadoop's hadoop.security.auth_to_local does
// (class KerberosName, mechanism hadoop): the first rule that fits decides, and what
// no rule fits is nobody. Make them with ParseRules. They are safe for concurrent
// use.
type Rules struct {
	realm string
	rules []rule
}

// rule is DEFAULT, if format is empty, or RULE:[components:format](match)s/from/to/g/L.
type rule struct {
	text       string
	components int
	format     string
	match      *regexp.Regexp // nil fits everything
	from       *regexp.Regexp // nil substitutes nothing
	to         string
	all, lower bool
}

// ruleSyntax is the beginning of what is left of the rules.
var ruleSyntax = regexp.MustCompile(`^\s*(?:(DEFAULT)|RULE:\[(\d+):([^\]]+)\](?:\(([^)]*)\))?(?:s/([^/]+)/([^/]*)/(g)?)?)/?(L)?\s*`)

// parameter is $0 to $9 in a format: the realm, or a component.
var parameter = regexp.MustCompile(`\$\d+`)

// ParseRules reads rules, with or without white space between them; "" is DEFAULT. The
// rule DEFAULT maps the principals of the given realm to their first component.
// Errors quote the rule.
func ParseRules(text, realm string) (*Rules, error) {
	r := &Rules{realm: realm}
	rest := strings.TrimSpace(text)
	if rest == "" {
		rest = "DEFAULT"
	}
	for rest != "" {
		parts := ruleSyntax.FindStringSubmatch(rest)
		if parts == nil {
			return nil, fmt.Errorf("no rule begins at %.60q; a rule is DEFAULT or RULE:[n:format](regex)s/from/to/g/L", rest)
		}
		next, err := makeRule(parts)
		if err != nil {
			return nil, fmt.Errorf("the rule %q: %w", strings.TrimSpace(parts[0]), err)
		}
		r.rules = append(r.rules, next)
		rest = rest[len(parts[0]):]
	}
	return r, nil
}

func makeRule(parts []string) (rule, error) {
	r := rule{text: strings.TrimSpace(parts[0]), format: parts[3], all: parts[7] != "", lower: parts[8] != ""}
	if parts[1] != "" {
		return r, nil
	}
	var err error
	if r.components, err = strconv.Atoi(parts[2]); err != nil || r.components < 1 || r.components > 2 {
		return rule{}, fmt.Errorf("principals of people and services have 1 or 2 components, not %s", parts[2])
	}
	for _, p := range parameter.FindAllString(r.format, -1) {
		if n, err := strconv.Atoi(p[1:]); err != nil || n > r.components {
			return rule{}, fmt.Errorf("there is no %s in a principal of %d components", p, r.components)
		}
	}
	if parts[4] != "" {
		if r.match, err = regexp.Compile(`^(?:` + parts[4] + `)$`); err != nil {
			return rule{}, err
		}
	}
	if parts[5] == "" {
		return r, nil
	}
	if r.from, err = regexp.Compile(parts[5]); err != nil {
		return rule{}, err
	}
	r.to, err = replacement(parts[6], r.from.NumSubexp())
	return r, err
}

// replacement turns what Java puts for a match into what Go does: $1 is a
// group, and a backslash takes the meaning from what follows it.
func replacement(java string, groups int) (string, error) {
	var out strings.Builder
	for i := 0; i < len(java); i++ {
		switch {
		case java[i] == '\\' && i+1 < len(java):
			i++
			out.WriteString(strings.ReplaceAll(java[i:i+1], "$", "$$"))
		case java[i] == '$' && i+1 < len(java) && '0' <= java[i+1] && int(java[i+1]-'0') <= groups:
			i++
			out.WriteString("${" + java[i:i+1] + "}")
		case java[i] == '$' || java[i] == '\\':
			return "", fmt.Errorf("%q cannot be put for a match: $ is followed by the number of a group, and \\ by a character", java)
		default:
			out.WriteByte(java[i])
		}
	}
	return out.String(), nil
}

// User maps a principal. The error says why it is nobody.
func (r *Rules) User(components []string, realm string) (string, error) {
	principal := strings.Join(components, "/") + "@" + realm
	if len(components) < 1 || len(components) > 2 || realm == "" {
		return "", fmt.Errorf("the principal %.100q is none of a person or a service", principal)
	}
	for _, part := range append([]string{realm}, components...) {
		if part == "" || strings.ContainsAny(part, "/@") {
			return "", fmt.Errorf("the principal %.100q has a part that is empty or holds / or @", principal)
		}
	}
	for _, rule := range r.rules {
		user, fits := rule.apply(components, realm, r.realm)
		switch {
		case !fits:
			continue
		case strings.ContainsAny(user, "/@"):
			return "", fmt.Errorf("the rule %q makes %.100q of the principal %.100q, which is no plain name", rule.text, user, principal)
		}
		return user, nil
	}
	return "", fmt.Errorf("no rule of hadoop.security.auth_to_local fits the principal %.100q", principal)
}

func (r rule) apply(components []string, realm, home string) (user string, fits bool) {
	switch {
	case r.format == "":
		user, fits = components[0], realm == home
	case r.components == len(components):
		user, fits = r.substitute(components, realm)
	}
	if r.lower {
		user = strings.Map(lower, user)
	}
	return user, fits
}

// lower folds ASCII only: the Kelvin sign must not become a k.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

func (r rule) substitute(components []string, realm string) (string, bool) {
	parameters := append([]string{realm}, components...)
	base := parameter.ReplaceAllStringFunc(r.format, func(p string) string {
		n, _ := strconv.Atoi(p[1:]) // checked by makeRule
		return parameters[n]
	})
	switch {
	case r.match != nil && !r.match.MatchString(base):
		return "", false
	case r.from == nil:
		return base, true
	case r.all:
		return r.from.ReplaceAllString(base, r.to), true
	}
	at := r.from.FindStringSubmatchIndex(base)
	if at == nil {
		return base, true
	}
	return base[:at[0]] + string(r.from.ExpandString(nil, r.to, base, at)) + base[at[1]:], true
}
