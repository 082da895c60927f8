// SPDX-License-Identifier: Apache-2.0

// Package version names the build that is running.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Number is the version of the next or current release.
const Number = "0.1.0"

// shortCommit is how many characters of a commit id people are shown.
const shortCommit = 12

// Info describes a build.
type Info struct {
	// Number is the release, such as 0.1.0.
	Number string
	// Commit is the abbreviated commit id, followed by "+" when the checkout had
	// changes of its own; empty when the build does not know it (a test binary).
	Commit string
	// Go is the toolchain, such as go1.26.8.
	Go string
}

// Get returns what the Go linker recorded about this binary.
func Get() Info {
	info := Info{Number: Number, Go: runtime.Version()}
	if build, ok := debug.ReadBuildInfo(); ok {
		info.Commit = commit(build.Settings)
	}
	return info
}

// String is the one line that `gateway version` prints.
func (i Info) String() string {
	if i.Commit == "" {
		return fmt.Sprintf("%s (%s)", i.Number, i.Go)
	}
	return fmt.Sprintf("%s (commit %s, %s)", i.Number, i.Commit, i.Go)
}

func commit(settings []debug.BuildSetting) string {
	values := make(map[string]string, len(settings))
	for _, s := range settings {
		values[s.Key] = s.Value
	}
	id := values["vcs.revision"]
	if len(id) > shortCommit {
		id = id[:shortCommit]
	}
	if id != "" && values["vcs.modified"] == "true" {
		id += "+"
	}
	return id
}
