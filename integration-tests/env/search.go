// SPDX-License-Identifier: Apache-2.0

package env

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// Search looks for secrets where none may be.
type Search struct {
	// Secrets are what must be nowhere, by name.
	Secrets map[string]string
	// Marker is what is no secret; where it is shows that the search works.
	Marker string

	// Places counts what was searched; Marked are those with the marker, Found says
	// which secret is where.
	Places int
	Marked []string
	Found  []string
}

// Spellings adds a binary secret, as it is and as people write such.
func (s *Search) Spellings(name string, raw []byte) {
	s.Secrets[name], s.Secrets[name+", hexadecimal"] = string(raw), hex.EncodeToString(raw)
	s.Secrets[name+", base64"] = base64.RawStdEncoding.EncodeToString(raw)
	s.Secrets[name+", base64 for URLs"] = base64.RawURLEncoding.EncodeToString(raw)
}

// Look searches one place.
func (s *Search) Look(place string, text []byte) {
	s.Places++
	if bytes.Contains(text, []byte(s.Marker)) {
		s.Marked = append(s.Marked, place)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		if at := bytes.Index(text, []byte(s.Secrets[name])); at >= 0 {
			s.Found = append(s.Found, fmt.Sprintf("%s in %s, behind %q", name, place, text[max(0, at-60):at]))
		}
	}
}

// Files searches all files of folders, and their names, but for the file that
// holds the cluster secret. It returns the names of the files.
func (s *Search) Files(t testing.TB, folders ...string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, folder := range folders {
		require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() && entry.Name() != "cluster.secret" {
				var text []byte
				text, err = os.ReadFile(path)
				names[entry.Name()] = true
				s.Look(path, append([]byte(path+"\n"), text...))
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it was temporary
			}
			return err
		}))
	}
	return names
}

// Processes searches the command lines and environments of a process and its
// descendants, and returns how many they are. What withoutKnown takes out of an
// environment is not looked at; it may be nil.
func (s *Search) Processes(t testing.TB, root int, withoutKnown func(line, environ []byte) []byte) int {
	t.Helper()
	all := family(t, root)
	for _, pid := range all {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // empty when it has ended
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if withoutKnown != nil {
			environ = withoutKnown(line, environ)
		}
		s.Look(fmt.Sprintf("command line of process %d", pid), line)
		s.Look(fmt.Sprintf("environment of process %d", pid), environ)
	}
	return len(all)
}

// family lists a process and its descendants.
func family(t testing.TB, root int) []int {
	t.Helper()
	parents := map[int]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		parents[pid], _ = strconv.Atoi(fields[1])
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		for pid, parent := range parents {
			if parent == all[i] {
				all = append(all, pid)
			}
		}
	}
	return all
}

// REST searches what a caller is told by every GET of the API description, of
// what is its own and of all, and returns the status of each path; get makes a
// call.
func (s *Search) REST(t testing.TB, caller, session string, get func(path string) (int, []byte)) map[string]int {
	t.Helper()
	api, err := openapi3.NewLoader().LoadFromFile(filepath.Join(Root(t), "server", "rest", "openapi.yaml"))
	require.NoError(t, err)
	codes := map[string]int{}
	for path, item := range api.Paths.Map() {
		if item.Get == nil {
			continue
		}
		at := strings.ReplaceAll(path, "{id}", session)
		require.NotContains(t, at, "{")
		for _, query := range []string{"?all=true", ""} {
			code, body := get(at + query)
			codes[path] = code
			s.Look("GET "+path+query+" of "+caller, body)
		}
	}
	require.GreaterOrEqual(t, len(codes), 10)
	return codes
}
