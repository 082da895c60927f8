// SPDX-License-Identifier: Apache-2.0

package conf

import "strings"

// TakeProxyUser takes the user for whom a session is to be opened out of the
// options of a client: SessionProxyUser, in whatever spelling options may have,
// else HiveProxyUser; "" if there is none. The error is an *OptionError.
func TakeProxyUser(pairs []Pair) (user string, rest []Pair, err error) {
	named := map[string]string{}
	for _, p := range pairs {
		key, known := proxyUserKey(p.Key)
		if !known {
			rest = append(rest, p)
			continue
		}
		value := trimBlanks(p.Value)
		if before, twice := named[key]; twice && before != value {
			return "", nil, &OptionError{Key: key, Invalid: true, Why: "it is given twice, for different users; keep one"}
		}
		if value == "" {
			return "", nil, &OptionError{Key: key, Invalid: true, Why: "it names nobody; leave it out to open the session for yourself"}
		}
		named[key] = value
	}
	if user = named[SessionProxyUser.Key]; user == "" {
		user = named[HiveProxyUser]
	}
	return user, rest, nil
}

// NamesProxyUser says whether an option of a client is one of those that
// TakeProxyUser takes.
func NamesProxyUser(key string) bool {
	_, known := proxyUserKey(key)
	return known
}

// proxyUserEnd ends both names. Every option of every call is looked at.
const proxyUserEnd = ".proxy.user"

func proxyUserKey(raw string) (string, bool) {
	if raw = trimBlanks(raw); len(raw) < len(proxyUserEnd) || !strings.EqualFold(raw[len(raw)-len(proxyUserEnd):], proxyUserEnd) {
		return "", false
	}
	key, err := canonicalKey(raw)
	if err != nil {
		return "", false
	}
	for _, name := range []string{SessionProxyUser.Key, HiveProxyUser} {
		if strings.EqualFold(key, name) {
			return name, true
		}
	}
	return "", false
}
