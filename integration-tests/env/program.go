// SPDX-License-Identifier: Apache-2.0

package env

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// WriteProgram makes an executable file. No process begins meanwhile: its child
// would hold the file open for writing for a moment, in which it cannot be run
// ("text file busy").
func WriteProgram(t testing.TB, path string, content io.Reader) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(f, content)
	require.NoError(t, errors.Join(err, f.Close()))
}
