// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"roundhouse/engine"
	"roundhouse/internal/secret"
)

const (
	headLimit  = 2 << 20 // bytes of a log that are searched for a reason
	tailLimit  = 256 << 10
	lineLimit  = 1000 // characters of one line that are shown
	keepFrames = 3    // stack frames shown per exception
)

var (
	// exceptionStart is the first line of a stack trace: a class that ends in
	// Exception or Error, at the start of a line or after a log prefix.
	exceptionStart = regexp.MustCompile(`(?:^|[\s:"])(?:[\w$]+\.)+[\w$]*(?:Exception|Error)\b`)
	stackFrame     = regexp.MustCompile(`^\s+(?:at |\.\.\. \d+ more)`)
	stackCause     = regexp.MustCompile(`^\s*(?:Caused by: |Suppressed: )`)
	// logPrefix begins a new message in Spark's log layouts.
	logPrefix = regexp.MustCompile(`^(?:\d\d/\d\d/\d\d \d\d:\d\d:\d\d |\d{4}-\d\d-\d\d|\{"ts":)`)
)

// Tail returns the last lines of an engine's log, made fit to be shown: keys
// and control characters masked, long lines cut.
func (f Files) Tail(workDir string, lines int, hide secret.Masker) []string {
	text := f.read(workDir, true, hide)
	text = strings.TrimRight(text, "\n")
	if text == "" || lines <= 0 {
		return nil
	}
	all := strings.Split(text, "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = clip(line, lineLimit)
	}
	return all
}

// Reason is the stack trace that ended the program, shortened to what people
// need, else the first one of the log, else the last lines of the log.
func (f Files) Reason(workDir string, hide secret.Masker) string {
	lines := strings.Split(f.read(workDir, false, hide), "\n")
	block := findException(lines)
	if block == nil {
		block = f.Tail(workDir, f.ReasonLines, hide)
	}
	return clip(strings.Join(block, "\n"), f.ReasonSize)
}

// read returns the beginning or the end of a log, masked.
func (f Files) read(workDir string, end bool, hide secret.Masker) string {
	var text string
	err := f.inside(workDir, func(root *os.Root, path string) error {
		file, err := openLog(root, filepath.Join(path, engine.LogFile))
		if err != nil {
			return err
		}
		defer file.Close()
		if end {
			text, err = readEnd(file)
		} else {
			text, err = readStart(file)
		}
		return err
	})
	if err != nil {
		return "" // no log, nothing to show
	}
	return printable(hide.Text(text))
}

// openLog opens a log that the driver, who owns the folder too, may have put
// something else in the place of: no link is followed (not even one to another
// engine's log), nothing that could block is opened.
func openLog(root *os.Root, path string) (*os.File, error) {
	before, err := root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a plain file", path)
	}
	file, err := root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	after, err := file.Stat()
	if err != nil || !os.SameFile(before, after) {
		return nil, errors.Join(fmt.Errorf("%s was exchanged", path), err, file.Close())
	}
	return file, nil
}

// readStart reads the beginning in whole lines: half of a key is not masked.
func readStart(file *os.File) (string, error) {
	text, err := io.ReadAll(io.LimitReader(file, headLimit))
	if len(text) == headLimit {
		text = text[:bytes.LastIndexByte(text, '\n')+1]
	}
	return string(text), err
}

// readEnd reads the end in whole lines.
func readEnd(file *os.File) (string, error) {
	info, err := file.Stat()
	if err != nil || info.Size() <= tailLimit {
		text, readErr := io.ReadAll(io.LimitReader(file, tailLimit)) // it may grow meanwhile
		return string(text), errors.Join(err, readErr)
	}
	text, err := io.ReadAll(io.NewSectionReader(file, info.Size()-tailLimit, tailLimit))
	return string(text[bytes.IndexByte(text, '\n')+1:]), err
}

// printable removes what could steer a terminal, and broken UTF-8.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
}

// findException returns the trace of the exception that ended the main thread,
// else the first trace, else nil.
func findException(lines []string) []string {
	var first []string
	for i, line := range lines {
		if stackFrame.MatchString(line) || stackCause.MatchString(line) || !exceptionStart.MatchString(line) {
			continue
		}
		if strings.HasPrefix(line, `Exception in thread "main"`) {
			return trace(lines[i:])
		}
		if first == nil {
			first = trace(lines[i:])
		}
	}
	return first
}

// trace is the stack trace at the start of lines, with a few frames for each
// exception.
func trace(lines []string) []string {
	block := []string{clip(lines[0], lineLimit)}
	frames := 0
	for _, line := range lines[1:] {
		switch {
		case stackCause.MatchString(line):
			frames = 0
		case stackFrame.MatchString(line):
			frames++
		case frames > 0 || line == "" || logPrefix.MatchString(line) || exceptionStart.MatchString(line):
			return block
		}
		if frames <= keepFrames {
			block = append(block, clip(line, lineLimit))
		}
	}
	return block
}

// clip cuts text to limit characters.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return fmt.Sprintf("%s … (%d more characters)", string(runes[:limit]), len(runes)-limit)
}
