// SPDX-License-Identifier: Apache-2.0

package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestInterpretersAreAskedOnce, however many sessions open at the same time.
func TestInterpretersAreAskedOnce(t *testing.T) {
	python := filepath.Join(t.TempDir(), "python")
	require.NoError(t, os.WriteFile(python, []byte("#!/bin/sh\necho asked >>\"$0.calls\"\necho Python 3.99.1\n"), 0o700))
	p := pythons{log: slog.New(slog.DiscardHandler)}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if got := p.minor(python); got != "3.99" {
				t.Errorf("got %q", got)
			}
		})
	}
	all.Wait()
	calls, err := os.ReadFile(python + ".calls")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(calls), "asked"))
	late := python + ".late"
	require.Empty(t, p.minor(late), "an interpreter that does not answer is unknown")
	require.NoError(t, os.Rename(python, late))
	require.Empty(t, p.minor(late), "and is left alone for a while")
	p.asked[late].failed = time.Now().Add(-askAgain)
	require.Equal(t, "3.99", p.minor(late))
}
