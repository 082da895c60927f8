// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"cmp"
	"io"
	"slices"
	"strings"
)

// Hidden stands in place of a masked secret.
const Hidden = "********"

// Masker hides a fixed set of secrets in text.
type Masker struct {
	secrets []string // longest first
}

// Mask returns a Masker of the given secrets; empty ones are ignored.
func Mask(secrets ...string) Masker {
	kept := slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return s == "" })
	slices.SortFunc(kept, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return Masker{secrets: kept}
}

// Text returns s with every secret replaced by Hidden.
func (m Masker) Text(s string) string {
	out, _ := m.scan(s, true)
	return out
}

// Writer returns a writer that masks what passes through it to w. It holds
// back what may be the beginning of a secret until Close, which does not close
// w. It is not safe for concurrent use.
func (m Masker) Writer(w io.Writer) io.WriteCloser {
	return &maskWriter{masker: m, w: w}
}

type maskWriter struct {
	masker Masker
	w      io.Writer
	held   string
}

func (mw *maskWriter) Write(p []byte) (int, error) {
	out, rest := mw.masker.scan(mw.held+string(p), false)
	mw.held = rest
	if _, err := io.WriteString(mw.w, out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close passes on what is held back.
func (mw *maskWriter) Close() error {
	out, _ := mw.masker.scan(mw.held, true)
	mw.held = ""
	_, err := io.WriteString(mw.w, out)
	return err
}

// scan masks s. Unless s is all there is, it stops before a tail that may
// become a secret and returns that tail as rest.
func (m Masker) scan(s string, final bool) (out, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); {
		if !final && m.mayGrow(s[i:]) {
			return b.String(), s[i:]
		}
		if n := m.match(s[i:]); n > 0 {
			b.WriteString(Hidden)
			i += n
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String(), ""
}

// match is the length of the longest secret at the start of s, or 0.
func (m Masker) match(s string) int {
	for _, secret := range m.secrets {
		if strings.HasPrefix(s, secret) {
			return len(secret)
		}
	}
	return 0
}

// mayGrow reports whether more text could make s start with a longer secret.
func (m Masker) mayGrow(s string) bool {
	for _, secret := range m.secrets {
		if len(s) < len(secret) && strings.HasPrefix(secret, s) {
			return true
		}
	}
	return false
}
