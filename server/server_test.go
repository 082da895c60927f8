// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// failing is a part that ends with an error when ctx ends, or at once.
type failing struct{ atOnce bool }

// Run implements runner.
func (f failing) Run(ctx context.Context) error {
	if !f.atOnce {
		<-ctx.Done()
	}
	return errors.New("followed no more")
}

// TestPartsThatFail: what ends before its time is told of while the gateway goes on.
func TestPartsThatFail(t *testing.T) {
	var said bytes.Buffer
	s := &Server{log: slog.New(slog.NewTextHandler(&said, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	require.Error(t, s.keep(ctx, failing{atOnce: true}))
	require.Contains(t, said.String(), "level=ERROR")
	require.Contains(t, said.String(), "followed no more")
	said.Reset()
	cancel()
	require.Error(t, s.keep(ctx, failing{}))
	require.Empty(t, said.String(), "the gateway ends, and Run returns it")
}
