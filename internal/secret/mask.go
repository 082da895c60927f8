// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"cmp"
	"slices"
	"strings"
)

// Hidden stands in place of a masked secret.
const Hidden = "********"

// Masker hides a fixed set of secrets in text. Make it with Mask.
type Masker struct {
	replacer *strings.Replacer
}

// Mask returns a Masker of the given secrets; empty ones are ignored. Where
// several begin at one place, the longest is hidden.
func Mask(secrets ...string) Masker {
	longestFirst := slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, s := range longestFirst {
		if s != "" {
			pairs = append(pairs, s, Hidden)
		}
	}
	return Masker{strings.NewReplacer(pairs...)}
}

// Text returns s with every secret replaced by Hidden.
func (m Masker) Text(s string) string { return m.replacer.Replace(s) }
