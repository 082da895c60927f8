// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// tailWindow bounds, in bytes, how much of a log Tail looks at.
const tailWindow = 64 << 10

// Tail returns the last lines of a file, at most n, without a trailing newline.
func Tail(path string, n int) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the end of the log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("reading the end of the log: %w", err)
	}
	from := max(0, info.Size()-tailWindow)
	data, err := io.ReadAll(io.NewSectionReader(f, from, tailWindow))
	if err != nil {
		return "", fmt.Errorf("reading the end of %s: %w", path, err)
	}
	return lastLines(data, n), nil
}

func lastLines(data []byte, n int) string {
	lines := bytes.Split(bytes.TrimRight(data, "\n"), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
