// SPDX-License-Identifier: Apache-2.0

package krb5

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheDefaultCacheIsThatOfKinit, whatever TMPDIR says.
func TestTheDefaultCacheIsThatOfKinit(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, err := loadCache("")
	if err == nil {
		t.Skip("somebody is logged in here")
	}
	require.ErrorContains(t, err, "/tmp/krb5cc_")
}
