// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// test names a test of a package; Test is "" for the package itself.
type test struct{ pkg, name string }

// report gathers the events of one suite.
type report struct {
	show io.Writer // for people
	full io.Writer // everything

	output  map[test][]string
	builds  map[string][]string // compiler output by import path
	skipped map[string][]string // tests by reason
	counts  map[string]int      // tests by action
	broken  int                 // packages that failed
}

func newReport(show, full io.Writer) *report {
	return &report{
		show: show, full: full,
		output: map[test][]string{}, builds: map[string][]string{}, skipped: map[string][]string{}, counts: map[string]int{},
	}
}

// read takes all events. Lines that are none (a panic of the go command) are
// shown as they are.
func (r *report) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil {
				r.take(e)
			} else {
				fmt.Fprintf(r.show, "%s", line)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "output":
		fmt.Fprint(r.full, e.Output)
		r.output[t] = append(r.output[t], e.Output)
	case "build-output":
		fmt.Fprint(r.full, e.Output)
		r.builds[e.ImportPath] = append(r.builds[e.ImportPath], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e, t)
		}
		delete(r.output, t)
	}
}

func (r *report) endTest(e event, t test) {
	r.counts[e.Action]++
	switch e.Action {
	case "skip":
		reason := skipReason(r.output[t])
		r.skipped[reason] = append(r.skipped[reason], e.Test)
	case "fail":
		fmt.Fprintf(r.show, "FAIL  %s %s (%.1f s)\n%s", e.Package, e.Test, e.Elapsed, strings.Join(r.output[t], ""))
	}
}

func (r *report) endPackage(e event) {
	switch e.Action {
	case "fail":
		r.broken++
		fmt.Fprintf(r.show, "FAIL  %s (%.1f s)\n%s%s", e.Package, e.Elapsed,
			strings.Join(r.builds[e.FailedBuild], ""), strings.Join(r.output[test{pkg: e.Package}], ""))
	case "pass":
		fmt.Fprintf(r.show, "ok    %s (%.1f s)\n", e.Package, e.Elapsed)
	}
}

// where begins a line that a test wrote: file.go:12: text.
var where = regexp.MustCompile(`^\s*\S+\.go:\d+: (.*)$`)

// skipReason is the last thing that a test said.
func skipReason(output []string) string {
	for _, line := range slices.Backward(output) {
		if m := where.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			return m[1]
		}
	}
	return "no reason given"
}

func (r *report) passed() bool { return r.broken == 0 && r.counts["fail"] == 0 }

func (r *report) summarise(name, output string) {
	fmt.Fprintf(r.show, "%s: %d passed, %d failed, %d skipped; the whole output is in %s\n",
		name, r.counts["pass"], r.counts["fail"], r.counts["skip"], output)
}

// shownTests is how many names one line about skips has.
const shownTests = 3

// skipLines is one line for each reason.
func (r *report) skipLines() []string {
	var lines []string
	for _, reason := range slices.Sorted(maps.Keys(r.skipped)) {
		tests := slices.Clone(r.skipped[reason])
		more := ""
		if n := len(tests) - shownTests; n > 0 {
			tests, more = tests[:shownTests], fmt.Sprintf(" and %d more", n)
		}
		lines = append(lines, fmt.Sprintf("%s%s: %s", strings.Join(tests, ", "), more, reason))
	}
	return lines
}
