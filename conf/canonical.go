// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// canonical checks a value and gives the one way to write it, so that equal
// wishes look equal (2g and 2048m). limits holds the maxima of the user; with
// nil no maximum of the configuration counts.
type canonical func(text string, limits *Conf) (string, error)

// above is the refusal of a value over a maximum of the configuration.
func above(text, most, key string) error {
	return fmt.Errorf("%q is more than the %s that %s allows; ask for less or ask the administrator", text, most, key)
}

func yesNo() canonical {
	return func(text string, _ *Conf) (string, error) {
		b, err := parseBool(text)
		return strconv.FormatBool(b), err
	}
}

func word(words ...string) canonical {
	return func(text string, _ *Conf) (string, error) {
		i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, text) })
		if i < 0 {
			return "", fmt.Errorf("want one of %s, got %q", strings.Join(words, ", "), text)
		}
		return words[i], nil
	}
}

func entryWord(e Entry[string]) canonical {
	return func(text string, _ *Conf) (string, error) { return e.kind.parse(text) }
}

// memory is a size in whole MiB; at least least MiB, because Spark refuses to
// start with less.
func memory(least int64, most Entry[int64]) canonical {
	return func(text string, limits *Conf) (string, error) {
		n, err := parseMiB(text)
		if err != nil {
			return "", err
		}
		if n < least {
			return "", fmt.Errorf("%q is too small for Spark; want at least %dm", text, least)
		}
		return fmt.Sprintf("%dm", n), checkMiB(text, n*mib, most, limits)
	}
}

// memoryUpTo is a size in whole MiB between fixed bounds.
func memoryUpTo(least, most int64) canonical {
	return func(text string, _ *Conf) (string, error) {
		n, err := parseMiB(text)
		if err == nil && (n < least || n > most) {
			err = fmt.Errorf("want between %dm and %dm, got %q", least, most, text)
		}
		return fmt.Sprintf("%dm", n), err
	}
}

// bytesSize is a size of at least least bytes, whose bare number counts bytes.
func bytesSize(least int64, most Entry[int64]) canonical {
	return func(text string, limits *Conf) (string, error) {
		n, err := parseSize(text, 1)
		if err != nil {
			return "", err
		}
		if n < least {
			return "", fmt.Errorf("%q is too small for Spark; want at least %d bytes", text, least)
		}
		return fmt.Sprintf("%db", n), checkMiB(text, n, most, limits)
	}
}

func checkMiB(text string, bytes int64, most Entry[int64], limits *Conf) error {
	if limits == nil {
		return nil
	}
	if m := most.Get(limits); m > 0 && bytes > m*mib {
		return above(text, fmt.Sprintf("%dm", m), most.Key)
	}
	return nil
}

func count(least int, most Entry[int]) canonical {
	fixed := countUpTo(least, 1<<20)
	return func(text string, limits *Conf) (string, error) {
		shown, err := fixed(text, limits)
		if err != nil || limits == nil {
			return shown, err
		}
		n, _ := strconv.Atoi(shown)
		if m := most.Get(limits); m > 0 && n > m {
			return "", above(text, strconv.Itoa(m), most.Key)
		}
		return shown, nil
	}
}

func countUpTo(least, most int) canonical {
	return func(text string, _ *Conf) (string, error) {
		n, err := intKind(least, most).parse(text)
		return strconv.Itoa(n), err
	}
}

var decimal = regexp.MustCompile(`^[0-9]{1,6}(\.[0-9]{1,9})?$`)

func ratio(least, most float64) canonical {
	return func(text string, _ *Conf) (string, error) {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !decimal.MatchString(text) || n < least || n > most {
			return "", fmt.Errorf("want a number from %v to %v, got %q", least, most, text)
		}
		return strconv.FormatFloat(n, 'f', -1, 64), nil
	}
}

func sparkTimeUpTo(most, bare time.Duration) canonical {
	return func(text string, _ *Conf) (string, error) {
		d, err := parseSparkTime(text, bare)
		if err == nil && d > most {
			err = fmt.Errorf("%q is more than %s", text, most)
		}
		return fmt.Sprintf("%dms", d.Milliseconds()), err
	}
}

// idleTimeout is positive: a client cannot keep an engine for ever.
func idleTimeout() canonical {
	return func(text string, limits *Conf) (string, error) {
		d, err := ParseDuration(text)
		if err != nil {
			return "", err
		}
		if limits == nil {
			return formatDuration(d), nil
		}
		if d < time.Second {
			return "", fmt.Errorf("want at least one second, got %q; only the administrator can turn a timeout off", text)
		}
		if most := MaxIdleTimeout.Get(limits); most > 0 && d > most {
			return "", above(text, formatDuration(most), MaxIdleTimeout.Key)
		}
		return formatDuration(d), nil
	}
}

// shareLevels are the levels at which ever more users share an engine. It is immutable.
var shareLevels = []string{ShareConnection, ShareUser, ShareGroup, ShareServer}

// shareLevel takes the levels that are built. A client cannot choose one at which more
// users share: it would get the identity of a group or of the gateway.
func shareLevel() canonical {
	return func(text string, limits *Conf) (string, error) {
		level, err := EngineShareLevel.kind.parse(text)
		if err != nil {
			return "", fmt.Errorf("want one of %s, got %q", strings.Join(shareLevels, ", "), text)
		}
		if err := checkShareLevel(level); err != nil || limits == nil {
			return level, err
		}
		if own := EngineShareLevel.Get(limits); slices.Index(shareLevels, level) > slices.Index(shareLevels, own) {
			return "", fmt.Errorf("at %s more users share an engine than at the level %s that you have; %s", level, own, askAdmin)
		}
		return level, nil
	}
}

// poolSize is any number: the server's threshold bounds it.
func poolSize() canonical {
	return func(text string, _ *Conf) (string, error) {
		n, err := EnginePoolSize.kind.parse(text)
		return strconv.Itoa(n), err
	}
}

// madeSubdomain ends the names that the gateway makes of launch options.
var madeSubdomain = regexp.MustCompile(`(^|-)o-[0-9a-f]{12}$`)

// clientSubdomainOf refuses the names that the gateway makes of launch options.
func clientSubdomainOf(e Entry[string]) canonical {
	return func(text string, _ *Conf) (string, error) {
		name, err := e.kind.parse(text)
		switch {
		case err != nil:
			return "", err
		case name == "":
			return "", errors.New("the name is empty; leave the option out for the usual engine")
		case madeSubdomain.MatchString(name):
			return "", fmt.Errorf("names such as %q are made by the gateway from launch options; choose another", name)
		}
		return name, nil
	}
}

func label() canonical {
	return func(text string, _ *Conf) (string, error) {
		if len([]rune(text)) > 256 || strings.ContainsFunc(text, unicode.IsControl) {
			return "", errors.New("want at most 256 characters on one line")
		}
		return text, nil
	}
}

var profileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

func profileNames() canonical {
	return func(text string, _ *Conf) (string, error) {
		names := splitList(text)
		for _, name := range names {
			if err := checkProfileName(name); err != nil {
				return "", err
			}
		}
		if len(names) == 0 {
			return "", errors.New("no profile is named; leave the option out")
		}
		return strings.Join(names, ","), nil
	}
}

func checkProfileName(name string) error {
	if !profileName.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("%q is not the name of a profile; names have letters, digits, _, - and single dots", name)
	}
	return nil
}
