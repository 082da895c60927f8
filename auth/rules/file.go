// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

const (
	// checkInterval is how often Run looks for a changed file.
	checkInterval = time.Second
	// maxFile bounds a rules file, in bytes.
	maxFile = 1 << 20
)

// File is a rules file that is read again when it changes. Make it with Open; it
// is safe for concurrent use.
type File struct {
	path    string
	log     *slog.Logger
	state   stamp // of what was last looked at; Run's own after Open
	current atomic.Pointer[Rules]
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// Open reads the file; without a path the answer has no rules and never
// changes. Errors name the file, and the line where there is one.
func Open(path string, log *slog.Logger) (*File, error) {
	f := &File{path: path, log: log}
	if path == "" {
		return f, nil
	}
	_, err := f.load()
	return f, err
}

// Rules are those read last; nil without a file.
func (f *File) Rules() *Rules { return f.current.Load() }

// Run reads the file again when it changed, until ctx ends. A file with faults
// changes nothing and is reported once.
func (f *File) Run(ctx context.Context) error {
	if f.path == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	reported := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			reported = f.check(reported)
		}
	}
}

// check looks at the file once and returns the fault that it found, if any.
func (f *File) check(reported string) string {
	changed, err := f.load()
	switch {
	case err != nil && err.Error() != reported:
		f.log.Error("rules file not usable, the rules read before hold", "file", f.path, "err", err)
	case err == nil && (changed || reported != ""):
		f.log.Info("rules file read again", "file", f.path, "rules", len(f.Rules().rules))
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// load reads the file if it is not the one read last.
func (f *File) load() (changed bool, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return false, fmt.Errorf("rules file: %w", err)
	}
	defer func() { _ = file.Close() }() // it was read only
	info, err := file.Stat()
	if err != nil {
		return false, fmt.Errorf("rules file: %w", err)
	}
	state := stamp{info.ModTime(), info.Size()}
	if f.Rules() != nil && state == f.state {
		return false, nil
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("it is larger than a mebibyte")
	}
	var rules *Rules
	if err == nil {
		rules, err = Parse(text)
	}
	if err != nil {
		return false, fmt.Errorf("rules file %s: %w", f.path, err)
	}
	f.state = state
	f.current.Store(rules)
	return true, nil
}
