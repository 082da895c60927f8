// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"maps"
	"slices"
	"strings"
)

// userMark stands around the user name of a user default: ___alice___.key
const userMark = "___"

// add checks one setting and puts it where it belongs.
func (b *builder) add(l line) {
	user, key, ok := splitUserKey(l.key)
	switch {
	case !ok:
		b.addTo(b.c.values, l, l.key)
	case user == "" || key == "":
		b.fault(l, "want ___user___.key: a user name between three underscores on each side, a dot, and the key")
	case isServerOnly(key):
		b.fault(l, key+" holds for the whole gateway and cannot differ by user")
	default:
		if b.c.users[user] == nil {
			b.c.users[user] = map[string]value{}
		}
		b.addTo(b.c.users[user], l, key)
	}
}

func splitUserKey(key string) (user, rest string, ok bool) {
	marked, ok := strings.CutPrefix(key, userMark)
	if !ok {
		return "", "", false
	}
	user, rest, _ = strings.Cut(marked, userMark+".")
	return user, rest, true
}

func isServerOnly(key string) bool {
	s, ok := settingOf(key)
	return ok && s.meta().Scope == ScopeServer
}

// addTo checks the value of key and stores it in into.
func (b *builder) addTo(into map[string]value, l line, key string) {
	v := value{text: l.text, from: l.from}
	if mayBeReference(key) {
		secret, isRef, err := secretReference(l.text, b.getenv)
		if err != nil {
			b.fault(l, err.Error())
			return
		}
		if isRef {
			v.text = secret
		} else {
			b.noteClear(l)
		}
	}
	if !strings.HasPrefix(key, "kyuubi.") {
		into[key] = v
		return
	}
	b.addKyuubi(into, l, key, v)
}

func (b *builder) addKyuubi(into map[string]value, l line, key string, v value) {
	_, old := byOldName[key]
	known, err := checkKnown(key, v.text)
	switch {
	case err != nil:
		b.fault(l, err.Error())
	case known || old:
		into[key] = v
	case isForeign(key):
		b.c.foreign = append(b.c.foreign, l.key)
		slices.Sort(b.c.foreign)
	default:
		b.fault(l, unknownText(key))
	}
}

func isSecret(key string) bool {
	s, ok := byKey[key]
	return ok && s.meta().Secret
}

// mayBeReference says whether a value of key may stand for a secret elsewhere.
func mayBeReference(key string) bool {
	if _, ok := settingOf(key); ok {
		return isSecret(key)
	}
	return holdsSecret.MatchString(key) && !namesFile.MatchString(key)
}

// noteClear keeps account of secrets that stand where they are used, and refuses
// them on the command line.
func (b *builder) noteClear(l line) {
	if l.text == "" || isAboutSecrets(l) {
		return
	}
	if l.from.File == overrideSource {
		b.fault(l, "every user of this machine can read a secret on the command line; give file:/path or env:NAME")
		return
	}
	b.c.clear = append(b.c.clear, l)
}

// isAboutSecrets is true for a flag, a time or a count whose name merely speaks
// of secrets (x.token.renewal.enabled).
func isAboutSecrets(l line) bool {
	_, notFlag := parseBool(l.text)
	_, notTime := ParseDuration(l.text)
	return notFlag == nil || notTime == nil && !endsInSecret.MatchString(l.key)
}

// renameDeprecated reads deprecated names where the new one is not set.
func (b *builder) renameDeprecated() {
	b.renameIn(b.c.values)
	for _, defaults := range b.c.users {
		b.renameIn(defaults)
	}
	slices.Sort(b.c.warnings)
}

func (b *builder) renameIn(values map[string]value) {
	for _, old := range slices.Sorted(maps.Keys(byOldName)) {
		v, ok := values[old]
		if !ok {
			continue
		}
		delete(values, old)
		s := byOldName[old]
		key, l := s.meta().Key, line{old, v.text, v.from}
		if _, set := values[key]; set {
			b.warn(l, "is the old name of "+key+", which is set too and wins")
			continue
		}
		if err := s.check(v.text); err != nil {
			b.fault(l, err.Error())
			continue
		}
		b.warn(l, "is deprecated; the name is "+key+" now")
		values[key] = v
	}
}
