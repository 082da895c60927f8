// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// String is "file:line", "--conf #n", or "" for a value nobody wrote.
func (s Source) String() string {
	switch {
	case s.File == "":
		return ""
	case s.Line == 0:
		return s.File
	case s.File == overrideSource:
		return fmt.Sprintf("%s #%d", s.File, s.Line)
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// Fault is one thing that is wrong with a configuration, written for the
// person who has to put it right.
type Fault struct {
	At   Source // zero when no line is to blame
	Key  string // "" for a fault of syntax
	Text string
}

// Error is the fault on one line: place, key, text.
func (f Fault) Error() string {
	parts := make([]string, 0, 3)
	for _, part := range []string{f.At.String(), f.Key, f.Text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// Faults are all faults of a configuration, in the order of their places.
type Faults []Fault

// Error lists every fault on its own line.
func (f Faults) Error() string {
	lines := make([]string, 0, len(f)+1)
	lines = append(lines, "the configuration has "+plural(len(f), "fault")+":")
	for _, fault := range f {
		lines = append(lines, "  "+fault.Error())
	}
	return strings.Join(lines, "\n")
}

// err is nil without faults, else the sorted faults.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.At.File, b.At.File), a.At.Line-b.At.Line, strings.Compare(a.Key, b.Key))
	})
	return f
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
