// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"roundhouse/auth"
)

// Limits of a token in bytes. A shorter one could be guessed, a longer one
// does not fit into request headers beside the rest.
const (
	minToken = 16
	maxToken = 4096
)

const (
	hashPrefix  = "sha256:"
	groupsWord  = "groups="
	adminWord   = "admin"
	usage       = "<token or sha256:hex> <user> [groups=a,b] [admin]"
	commentMark = "#"
)

type digest [sha256.Size]byte

// entry is one line of the file.
type entry struct {
	digest   digest
	identity auth.Identity
}

// parse reads the lines of a token file. The error lists every fault with its
// line, and never a token.
func parse(text string) ([]entry, error) {
	var entries []entry
	var faults []error
	lineOf := map[digest]int{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], commentMark) {
			continue
		}
		e, err := parseLine(fields)
		if first, twice := lineOf[e.digest]; err == nil && twice {
			err = fmt.Errorf("the token is that of line %d", first)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", number, err))
			continue
		}
		lineOf[e.digest] = number
		entries = append(entries, e)
	}
	return entries, errors.Join(faults...)
}

func parseLine(fields []string) (entry, error) {
	if len(fields) < 2 {
		return entry{}, errors.New("a line is: " + usage)
	}
	d, err := parseToken(fields[0])
	if err != nil {
		return entry{}, err
	}
	user := fields[1]
	if err := auth.ValidUser(user); err != nil {
		return entry{}, fmt.Errorf("the second word is no user name (is the token second?); a line is: %s", usage)
	}
	id := auth.Identity{User: user, RealUser: user, Method: Method}
	for _, word := range fields[2:] {
		if err := addWord(&id, word); err != nil {
			return entry{}, err
		}
	}
	return entry{digest: d, identity: id}, nil
}

func parseToken(field string) (digest, error) {
	encoded, hashed := strings.CutPrefix(field, hashPrefix)
	if hashed {
		raw, err := hex.DecodeString(encoded)
		if err != nil || len(raw) != sha256.Size {
			return digest{}, fmt.Errorf("sha256: must be followed by %d hexadecimal digits", 2*sha256.Size)
		}
		return digest(raw), nil
	}
	if len(field) < minToken || len(field) > maxToken {
		return digest{}, fmt.Errorf("a token has %d to %d characters, this one has %d; make one with: openssl rand -hex 32; a line is: %s",
			minToken, maxToken, len(field), usage)
	}
	return sha256.Sum256([]byte(field)), nil
}

func addWord(id *auth.Identity, word string) error {
	if word == adminWord {
		id.Admin = true
		return nil
	}
	list, ok := strings.CutPrefix(word, groupsWord)
	if !ok {
		return fmt.Errorf("a word after the user is not understood; a line is: %s", usage)
	}
	for group := range strings.SplitSeq(list, ",") {
		if !auth.ValidGroup(group) {
			return errors.New("a group has a name that is not allowed")
		}
		id.Groups = append(id.Groups, group)
	}
	return nil
}
