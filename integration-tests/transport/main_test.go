// SPDX-License-Identifier: Apache-2.0

// Package transport shows how the Connect port behaves beneath the calls: gRPC's
// interop suite through the proxy, h2spec against the port, and attacks on HTTP/2
// while a good client works. README.md says how each bound is made honest.
package transport

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// roleVariable makes this test binary play one of its helpers in a process of
// its own: an interop client may exit on its own, an attacker has a priority of
// its own, and a control server has memory of its own.
const roleVariable = "ROUNDHOUSE_TRANSPORT_ROLE"

func TestMain(m *testing.M) {
	name, args, _ := strings.Cut(os.Getenv(roleVariable), " ")
	if name == "" {
		goleak.VerifyTestMain(m)
		return
	}
	roles := map[string]func(args []string) error{"interop": interopClient, "attack": attacker, "plain": plainServer}
	if err := roles[name](strings.Fields(args)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The priorities of a helper.
const (
	usualPriority = "0"
	lowPriority   = "19" // it takes only the processor time that nobody wants
)

// role is a command that plays a helper until its end, its time limit, or that
// of the test.
func role(t *testing.T, limit time.Duration, priority string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "nice", "-n", priority, self, "-test.run=^$")
	cmd.Env = append(os.Environ(), roleVariable+"="+strings.Join(args, " "))
	return cmd
}
