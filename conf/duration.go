// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// longest is the longest duration that a setting may name; it keeps every sum
// far from overflow.
const longest = 100 * 365 * day

var errTooLong = errors.New("longer than a hundred years; write 0 for never where the setting allows it")

var (
	isoDuration   = regexp.MustCompile(`(?i)^([-+]?)P(?:([-+]?\d+)D)?(T?)(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?\d+)(?:\.(\d{1,9}))?S)?$`)
	shortDuration = regexp.MustCompile(`^([-+]?\d+)(ms|s|m|h|d)$`)
)

// ParseDuration reads ISO-8601 (PT30M, P1D, PT1.5S; a day has 24 hours), whole
// milliseconds as Kyuubi does, and the short forms 500ms, 10s, 30m, 2h, 1d.
func ParseDuration(s string) (time.Duration, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return scale(ms, time.Millisecond)
	}
	if m := shortDuration.FindStringSubmatch(s); m != nil {
		units := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": day}
		return parts(part{m[1], units[m[2]]})
	}
	m := isoDuration.FindStringSubmatch(s)
	if m == nil || !isoComplete(m) {
		return 0, fmt.Errorf("want a duration such as PT30M, 30m or 1800000 (milliseconds), got %q", s)
	}
	total, err := parts(part{m[2], day}, part{m[4], time.Hour}, part{m[5], time.Minute}, part{m[6], time.Second}, fraction(m[6], m[7]))
	if m[1] == "-" {
		total = -total
	}
	return total, err
}

// isoComplete wants at least one part, and one after T if and only if T is there.
func isoComplete(m []string) bool {
	timed := m[4] != "" || m[5] != "" || m[6] != ""
	return timed == (m[3] != "") && (timed || m[2] != "")
}

type part struct {
	digits string
	unit   time.Duration
}

// fraction turns the digits behind the point of seconds into nanoseconds with
// the sign of the seconds.
func fraction(seconds, digits string) part {
	if digits == "" {
		return part{}
	}
	sign := ""
	if strings.HasPrefix(seconds, "-") {
		sign = "-"
	}
	return part{sign + (digits + "000000000")[:9], time.Nanosecond}
}

func parts(all ...part) (time.Duration, error) {
	var total time.Duration
	for _, p := range all {
		if p.digits == "" {
			continue
		}
		n, err := strconv.ParseInt(p.digits, 10, 64)
		if err != nil {
			return 0, errTooLong
		}
		d, err := scale(n, p.unit)
		if err != nil {
			return 0, err
		}
		total += d
	}
	if total > longest || total < -longest {
		return 0, errTooLong
	}
	return total, nil
}

func scale(n int64, unit time.Duration) (time.Duration, error) {
	most := int64(longest / unit)
	if n > most || n < -most {
		return 0, errTooLong
	}
	return time.Duration(n) * unit, nil
}

// formatDuration writes a duration in the ISO form that Kyuubi's documents use.
func formatDuration(d time.Duration) string {
	if d%day == 0 && d != 0 {
		return fmt.Sprintf("P%dD", d/day)
	}
	if d < 0 {
		return "-" + formatDuration(-d)
	}
	text := "PT"
	if hours := d / time.Hour; hours > 0 {
		text += fmt.Sprintf("%dH", hours)
	}
	if minutes := d % time.Hour / time.Minute; minutes > 0 {
		text += fmt.Sprintf("%dM", minutes)
	}
	if rest := d % time.Minute; rest > 0 || text == "PT" {
		text += strconv.FormatFloat(rest.Seconds(), 'f', -1, 64) + "S"
	}
	return text
}
