// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
)

// TestFullDisk: data, work and log folders fill up. Calls that need room fail
// with the reason and leave nothing, everything else goes on, and with the room
// the gateway is well again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	g := env.Prepare(t, env.FakeSpark(t))
	data, work, logs := mountDisk(t, g.Home, "data", 1), mountDisk(t, g.Home, "work", 1), mountDisk(t, g.Home, "logs", 1)
	require.NoError(t, os.Symlink(filepath.Join(logs.dir, "gateway.out"), g.LogPath()))
	g.StartUntilCleanup()
	alice := env.NewSparkClient(t, g.GRPC, "alice")
	require.NoError(t, alice.Version(t.Context()))
	query := begin(t, alice, 1000, 20*time.Millisecond)

	logs.fill(t)
	work.fill(t)
	bob := env.NewSparkClient(t, g.GRPC, "bob")
	requireFull(t, bob.Version(t.Context()))
	env.Eventually(t, 5*time.Second, "nothing is left of bob's launch", func() bool {
		files, _ := filepath.Glob(filepath.Join(work.dir, "bob", "*", "*"))
		return len(g.Engines()) == 1 && len(env.Marked(filepath.Join(work.dir, "bob"))) == 0 && len(files) == 0
	})
	work.drain(t)
	require.NoError(t, bob.Version(t.Context()), "there is room again")

	data.fill(t)
	routed, refused := crowd(t, g)
	require.Len(t, g.Sessions(), 2+len(routed), "no route without a record")
	t.Logf("%d sessions were recorded on the full disk before one was refused", len(routed))
	require.NoError(t, alice.Version(t.Context()), "sessions that are recorded go on")
	for _, c := range routed[:len(routed)/2] {
		require.NoError(t, c.Release(t.Context()))
	}
	query.requireRunning(t)
	query.requireRows(t)
	data.drain(t)
	logs.drain(t)
	require.NoError(t, refused.Version(t.Context()), "the call that failed works now")

	// What a restart finds is what lived.
	live := g.Sessions()
	require.Len(t, live, 2+len(routed)-len(routed)/2+1)
	g.Signal(syscall.SIGTERM)
	g.Start()
	require.ElementsMatch(t, live, g.Sessions())
	require.NoError(t, alice.Version(t.Context()))
}

// crowd opens sessions of alice until one is refused for want of disk space.
func crowd(t *testing.T, g *env.Gateway) (routed []*env.SparkClient, refused *env.SparkClient) {
	t.Helper()
	for range 1000 {
		c := env.NewSparkClient(t, g.GRPC, "alice")
		err := c.Version(t.Context())
		if err != nil {
			requireFull(t, err)
			return routed, c
		}
		routed = append(routed, c)
	}
	require.FailNow(t, "a full disk takes sessions without end")
	return nil, nil
}

// requireFull wants an error that names cause and remedy.
func requireFull(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, codes.ResourceExhausted, status.Code(err), err)
	require.Contains(t, err.Error(), "[GATEWAY.OUT_OF_RESOURCES]")
	require.Contains(t, err.Error(), "The disk is full")
	t.Log(status.Convert(err).Message())
}

// disk is a small file system in memory.
type disk struct{ dir string }

// mountDisk mounts a disk of so many megabytes at a folder of home until the end of
// the test.
func mountDisk(t *testing.T, home, name string, megabytes int) disk {
	t.Helper()
	dir := filepath.Join(home, name)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%dm,mode=0700", megabytes))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skip("a file system of limited size needs root")
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	return disk{dir}
}

func (d disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves no byte free.
func (d disk) fill(t *testing.T) {
	t.Helper()
	file, err := os.Create(d.ballast())
	require.NoError(t, err)
	defer file.Close()
	for size := 64 << 10; size > 0; {
		if _, err = file.Write(make([]byte, size)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			size /= 2
		}
	}
}

// drain gives the room back.
func (d disk) drain(t *testing.T) {
	t.Helper()
	require.NoError(t, os.Remove(d.ballast()))
}
