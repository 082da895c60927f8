// SPDX-License-Identifier: Apache-2.0

// Package dist makes the tarball of `make dist` and uses it as an
// administrator of an edge node does.
package dist

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/integration-tests/env"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// makeTarball runs bin/lib/dist.sh and returns the tarball.
func makeTarball(t *testing.T) string {
	t.Helper()
	env.PluginJar(t) // skips without one
	out := t.TempDir()
	env.Run(t, exec.Command(filepath.Join(env.Root(t), "bin", "lib", "dist.sh"), out))
	found, err := filepath.Glob(filepath.Join(out, "roundhouse-*-linux-*.tar.gz"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	check := exec.Command("sha256sum", "--check", "--quiet", filepath.Base(found[0])+".sha256")
	check.Dir = out
	env.Run(t, check)
	return found[0]
}

// entries reads the headers of a tarball.
func entries(t *testing.T, tarball string) []*tar.Header {
	t.Helper()
	file, err := os.Open(tarball)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	zip, err := gzip.NewReader(file)
	require.NoError(t, err)
	var all []*tar.Header
	for reader := tar.NewReader(zip); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, header)
	}
}

// TestTarball makes the tarball twice, looks into it and uses it.
func TestTarball(t *testing.T) {
	first, second := makeTarball(t), makeTarball(t)
	t.Run("contents", func(t *testing.T) { requireContents(t, first, second) })
	t.Run("edge node", func(t *testing.T) { useOnEdgeNode(t, first) })
}

func requireContents(t *testing.T, first, second string) {
	t.Helper()
	a, err := os.ReadFile(first)
	require.NoError(t, err)
	b, err := os.ReadFile(second)
	require.NoError(t, err)
	require.True(t, string(a) == string(b), "equal sources give equal bytes")

	top := strings.TrimSuffix(filepath.Base(first), ".tar.gz") + "/"
	names := map[string]int64{}
	all := entries(t, first)
	for _, h := range all {
		require.True(t, strings.HasPrefix(h.Name, top), h.Name)
		require.Zero(t, h.Uid+h.Gid, h.Name)
		require.Equal(t, all[0].ModTime, h.ModTime, h.Name)
		require.Zero(t, h.Mode&0o022, "%s is for its owner to write", h.Name)
		names[strings.TrimPrefix(h.Name, top)] = h.Mode
	}
	for _, name := range []string{
		"README.md", "CHANGELOG.md", "LICENSE", "NOTICE", "SHA256SUMS", "lib/roundhouse-engine.jar", "docs/install.md", "docs/settings.md",
		"docs/errors.md", "conf/kyuubi-defaults.conf", "conf/kyuubi-env.sh.template", "systemd/roundhouse-gateway.service", "licenses/LICENSE.go",
	} {
		require.Contains(t, names, name)
	}
	for _, name := range []string{"bin/gateway", "bin/roundhouse-gateway"} {
		require.Equal(t, int64(0o755), names[name], name)
	}
}

// unpack unpacks a tarball in a folder with a space that everybody may enter
// and nobody but its owner may write to.
func unpack(t *testing.T, tarball string) (top, installation string) {
	t.Helper()
	top, err := os.MkdirTemp("", "edge-node-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	require.NoError(t, os.Chmod(top, 0o755))
	folder := filepath.Join(top, "opt with a space")
	require.NoError(t, os.Mkdir(folder, 0o755))
	env.Run(t, exec.Command("tar", "-xzf", tarball, "-C", folder))
	found, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	check := exec.Command("sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS")
	check.Dir = found[0]
	env.Run(t, check)
	return top, found[0]
}

func TestUnit(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is missing (apt-get install systemd)")
	}
	unit, err := os.ReadFile(filepath.Join(env.Root(t), "bin", "dist", "roundhouse-gateway.service"))
	require.NoError(t, err)
	dir := t.TempDir()
	program := filepath.Join(dir, "gateway")
	env.WriteProgram(t, program, strings.NewReader("#!/bin/sh\n"))
	file := filepath.Join(dir, "roundhouse-gateway.service")
	text := strings.ReplaceAll(string(unit), "/opt/roundhouse/bin/gateway", program)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	out, err := exec.Command(verify, "verify", "--man=no", file).CombinedOutput()
	require.NoError(t, err, string(out))
	for line := range strings.SplitSeq(string(out), "\n") {
		require.NotContains(t, line, "roundhouse-gateway", "of other units of this machine it may say what it wants")
	}
	require.Contains(t, text, "\nKillMode=process\n")
	require.Contains(t, text, "\nRestart=on-failure\n")
	for _, harmful := range []string{"PrivateTmp=yes", "RuntimeDirectory=", "MemoryDenyWriteExecute=yes"} {
		require.NotContains(t, text, "\n"+harmful)
	}
}

// ownedBy lists what a user owns below the folders where a program without
// privileges can write.
func ownedBy(t *testing.T, uid uint32) []string {
	t.Helper()
	var found []string
	for _, root := range []string{"/tmp", "/var", "/run", "/dev/shm", "/home", "/opt"} {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil // others remove things meanwhile
			}
			if info, err := entry.Info(); err == nil && owner(info) == uid {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}
