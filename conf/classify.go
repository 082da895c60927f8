// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind says what becomes of an option that a client sends.
type Kind int

// The kinds. The zero Kind is none of them.
const (
	// Launch options choose the engine of the session, or belong to the gateway
	// (share level, name, ...); they are taken out of what goes to Spark.
	Launch Kind = iota + 1
	// Runtime options are forwarded to the Spark session.
	Runtime
	// Ignored options are dropped without a word.
	Ignored
	// Refused options refuse the session.
	Refused
)

// OptionError says why an option of a client was not accepted. Its text is for
// the client; it never holds more of the configuration than key names.
type OptionError struct {
	// Key is the option as resolved, or as sent when it could not be.
	Key string
	// Invalid is true for a bad value, false for an option that is not allowed.
	Invalid bool
	// Unlisted is true for an option that is merely none of those that a client
	// may choose for an engine, and no slip of the finger for one. As a setting of
	// a running session Spark itself judges it.
	Unlisted bool
	// Why is the reason and what to do, a sentence without its end.
	Why string
}

// Error is "option <key>: <why>".
func (e *OptionError) Error() string { return "option " + e.Key + ": " + e.Why }

// Verdict is what Classify found.
type Verdict struct {
	// Key is the real spelling of the option.
	Key string
	// Kind is never zero.
	Kind Kind
	// Err is set if and only if Kind is Refused.
	Err *OptionError
}

// clientOnly options concern the client library; Spark's clients send some of
// them along.
var clientOnly = []string{"spark.remote", "spark.api.mode"}

// Classify tells what becomes of an option of this user by its key alone.
func (r *Resolver) Classify(user, key string) Verdict { return classify(r.conf.ForUser(user), key) }

func classify(c *Conf, raw string) Verdict {
	key, err := canonicalKey(raw)
	if err != nil {
		return refuse(printable(raw), err.Error())
	}
	switch {
	case listed(SessionRestrictList.Get(c), key):
		return refuse(key, "the administrator does not allow it ("+SessionRestrictList.Key+"); leave it out")
	case listed(SessionIgnoreList.Get(c), key), listed(clientOnly, key):
		return Verdict{Key: key, Kind: Ignored}
	case allowed[strings.ToLower(key)].key != "":
		return Verdict{Key: key, Kind: Launch}
	case strings.HasPrefix(key, "kyuubi."):
		return refuse(key, whyNotKyuubi(key))
	case strings.HasPrefix(key, "spark."):
		return classifySpark(key)
	}
	return classifyBare(key)
}

func refuse(key, why string) Verdict {
	return Verdict{Key: key, Kind: Refused, Err: &OptionError{Key: key, Why: why}}
}

const askAdmin = "ask the administrator to set it for you or to offer it in a profile (kyuubi.session.conf.profile)"

func classifySpark(key string) Verdict {
	lower := strings.ToLower(key)
	known, registered := sparkSQLKeys[lower]
	why := dangerOf(lower)
	switch {
	case registered && !known.static && (why == "" || why == isOurs), key == "spark.app.name":
		return Verdict{Key: key, Kind: Runtime}
	case why == isOurs && meantOption(key) != "":
		return refuse(key, "there is no such option; did you mean "+meantOption(key)+"?")
	case why != "":
		return refuse(key, "clients may not set it, because "+why+"; "+askAdmin)
	case strings.HasPrefix(lower, "spark.sql."):
		return Verdict{Key: key, Kind: Runtime}
	case meantOption(key) != "":
		return refuse(key, "it is not among the launch options that a client may choose; did you mean "+meantOption(key)+"?")
	}
	v := refuse(key, "it is not among the launch options that a client may choose; "+askAdmin+
		", or, if it is a setting of your own program, set it on the session")
	v.Err.Unlisted = true
	return v
}

// classifyBare looks at keys without one of the two prefixes. Kyuubi would add
// spark. to them; nothing here does, but a key that means a launch option in
// disguise is refused rather than forwarded without effect.
func classifyBare(key string) Verdict {
	lower := "spark." + strings.ToLower(key)
	switch {
	case strings.HasSuffix(lower, ".proxy.user"):
		return refuse(key, "clients may not choose the user of their session this way; sign in as that user")
	case allowed[lower].key != "":
		return refuse(key, "write it in full: "+allowed[lower].key)
	case dangerOf(lower) != "":
		return refuse(key, "clients may not set it, because "+dangerOf(lower)+"; "+askAdmin)
	}
	return Verdict{Key: key, Kind: Runtime}
}

func whyNotKyuubi(key string) string {
	_, known := settingOf(key)
	switch {
	case known || strings.HasPrefix(key, EngineEnvPrefix) || strings.HasPrefix(key, EnginePythonPrefix):
		return "only the administrator sets it; " + askAdmin
	case isForeign(key):
		return "it is a setting of Kyuubi that has no meaning here; leave it out"
	}
	return unknownText(key)
}

// canonicalKey resolves what a client calls an option to its real spelling:
// trimmed, without "x-" and Hive's "set:hiveconf:" forms, in the case of the
// name that is known, under its present name. It refuses everything that is not
// plain ASCII, so that nothing can look like a key that it is not.
func canonicalKey(raw string) (string, error) {
	key := trimBlanks(raw)
	for _, prefix := range []string{"set:", "hiveconf:", "hivevar:", "metaconf:", "system:"} {
		if hasFoldedPrefix(key, prefix) {
			key = key[len(prefix):]
		}
	}
	if isOptionName(key) {
		key = trimX(key)
	}
	if err := checkKey(key); err != nil {
		return "", err
	}
	lower := strings.ToLower(key)
	if k, ok := allowed[lower]; ok {
		return k.key, nil
	}
	if k, ok := sparkSQLKeys[lower]; ok {
		return k.key, nil
	}
	if s, ok := settingFolded(lower); ok {
		return s.meta().Key, nil
	}
	for _, prefix := range []string{"spark.sql.", "spark.", "kyuubi."} {
		if strings.HasPrefix(lower, prefix) {
			return prefix + key[len(prefix):], nil
		}
	}
	return key, nil
}

// settingFolded finds a setting by the lower-case form of any of its names.
func settingFolded(lower string) (setting, bool) {
	for _, index := range []map[string]setting{byKey, byOldName} {
		for name, s := range index {
			if strings.EqualFold(name, lower) {
				return s, true
			}
		}
	}
	return nil, false
}

const maxKeyBytes = 256

func checkKey(key string) error {
	if key == "" {
		return fmt.Errorf("the option has no name")
	}
	if len(key) > maxKeyBytes {
		return fmt.Errorf("the name is longer than %d bytes", maxKeyBytes)
	}
	if i := strings.IndexFunc(key, isOddInKey); i >= 0 {
		odd, _ := utf8.DecodeRuneInString(key[i:])
		return fmt.Errorf("the name holds %U; names have ASCII letters, digits and . _ - / @ $ +", odd)
	}
	if strings.HasPrefix(key, "-") || strings.HasPrefix(key, ".") {
		return fmt.Errorf("a name cannot begin with %q", key[:1])
	}
	return nil
}

func isOddInKey(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("._-/@$+", r)
}

// printable is a hostile key as it may stand in a message and a log.
func printable(raw string) string {
	if len(raw) > maxKeyBytes {
		raw = raw[:maxKeyBytes] + "..."
	}
	quoted := fmt.Sprintf("%+q", raw)
	if quoted == `"`+raw+`"` {
		return raw
	}
	return quoted
}

// MetadataPairs are the options among the metadata of a call, ordered by key:
// those whose lower-case names begin with spark. or kyuubi., also under x-.
// Everything else in the metadata is not for the session.
func MetadataPairs(metadata map[string][]string) []Pair {
	var pairs []Pair
	for key, values := range metadata {
		if !isOptionName(key) {
			continue
		}
		for _, v := range values {
			pairs = append(pairs, Pair{Key: key, Value: v})
		}
	}
	slices.SortStableFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	return pairs
}

// isOptionName says whether a name begins with spark. or kyuubi., also under x-,
// or is HiveProxyUser.
func isOptionName(name string) bool {
	name = trimX(name)
	return hasFoldedPrefix(name, "spark.") || hasFoldedPrefix(name, "kyuubi.") || strings.EqualFold(name, HiveProxyUser)
}

func trimX(name string) string {
	if hasFoldedPrefix(name, "x-") {
		return name[len("x-"):]
	}
	return name
}
