// SPDX-License-Identifier: Apache-2.0

package version

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommit(t *testing.T) {
	tests := []struct {
		name     string
		settings []debug.BuildSetting
		want     string
	}{
		{"unknown", nil, ""},
		{"shortened", []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}}, "0123456789ab"},
		{"changed checkout", []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"},
		}, "0123456789ab+"},
		{"changes without a commit say nothing", []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, commit(tt.settings))
		})
	}
}

func TestInfoString(t *testing.T) {
	require.Equal(t, "0.1.0 (go1.26.8)", Info{Number: "0.1.0", Go: "go1.26.8"}.String())
	require.Equal(t, "0.1.0 (commit abc, go1.26.8)", Info{Number: "0.1.0", Commit: "abc", Go: "go1.26.8"}.String())
}
