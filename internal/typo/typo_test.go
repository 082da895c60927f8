// SPDX-License-Identifier: Apache-2.0

package typo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDistance(t *testing.T) {
	require.Equal(t, 3, Distance("kitten", "sitting"))
	require.Equal(t, 4, Distance("", "abcd"))
	require.Zero(t, Distance("same", "same"))
}
