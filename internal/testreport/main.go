// SPDX-License-Identifier: Apache-2.0

// Command testreport reads the events of `go test -json` and shows what a
// person wants of them: a line for each package, the output of what failed, and
// the reasons of what was skipped. It fails when a test failed.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	name := flag.String("name", "tests", "name of the suite")
	output := flag.String("output", os.DevNull, "file for the whole output")
	skips := flag.String("skips", os.DevNull, "file that the skips are appended to")
	flag.Parse()
	ok, err := run(*name, *output, *skips, os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run reports one suite; it returns false when a test failed.
func run(name, output, skips string, events io.Reader, show io.Writer) (passed bool, err error) {
	log, err := os.Create(output)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	full := bufio.NewWriter(log)
	r := newReport(show, full)
	if err := r.read(events); err != nil {
		return false, err
	}
	if err := full.Flush(); err != nil {
		return false, err
	}
	r.summarise(name, output)
	return r.passed(), appendSkips(skips, r)
}

func appendSkips(path string, r *report) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	for _, line := range r.skipLines() {
		fmt.Fprintln(f, line)
	}
	return f.Close()
}
