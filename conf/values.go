// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const mib = int64(1) << 20

// largestSize keeps sizes far from overflow: 1 PiB.
const largestSize = int64(1) << 50

var (
	sparkSize = regexp.MustCompile(`^([0-9]{1,18})([bkmgt]?)b?$`)
	sparkTime = regexp.MustCompile(`^([0-9]{1,15})(ms|s|m|min|h|d)?$`)
)

// parseSize reads a size as Spark writes it (2g, 2048m, 512kb). A bare number
// counts in bare, because Spark's default unit differs by key. The answer is
// in bytes.
func parseSize(s string, bare int64) (int64, error) {
	m := sparkSize.FindStringSubmatch(strings.ToLower(s))
	if m == nil {
		return 0, fmt.Errorf("want a size such as 2g or 2048m, got %q", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := map[string]int64{"": bare, "b": 1, "k": 1 << 10, "m": mib, "g": 1 << 30, "t": 1 << 40}[m[2]]
	if err != nil || n > largestSize/unit {
		return 0, fmt.Errorf("%q is larger than any machine", s)
	}
	return n * unit, nil
}

// parseMiB reads a size whose bare number counts mebibytes, in whole MiB.
func parseMiB(s string) (int64, error) {
	n, err := parseSize(s, mib)
	if err == nil && n%mib != 0 {
		return 0, fmt.Errorf("want a whole number of mebibytes, got %q", s)
	}
	return n / mib, err
}

// sizeKind is a number of mebibytes.
func sizeKind() kind[int64] { return kind[int64]{"size", parseMiB} }

// parseSparkTime reads a time as Spark writes it. A bare number counts in bare,
// because Spark's default unit differs by key.
func parseSparkTime(s string, bare time.Duration) (time.Duration, error) {
	m := sparkTime.FindStringSubmatch(strings.ToLower(s))
	if m == nil {
		return 0, fmt.Errorf("want a time such as 60s or 10min, got %q", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, errTooLong
	}
	units := map[string]time.Duration{"": bare, "ms": time.Millisecond, "s": time.Second,
		"m": time.Minute, "min": time.Minute, "h": time.Hour, "d": day}
	return scale(n, units[m[2]])
}
