// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	stat := func(head, threads, start string) string {
		return head + strings.Repeat(" 1", 16) + " " + threads + " 0 " + start + " 9"
	}
	for name, test := range map[string]struct {
		data string
		want Info
		bad  bool
	}{
		"plain":                        {data: stat("7 (sleep) S", "3", "4711"), want: Info{Start: 4711}},
		"zombie":                       {data: stat("7 (sleep) Z", "1", "4711"), want: Info{Start: 4711, Ended: true}},
		"dead":                         {data: stat("7 (sleep) X", "0", "4711"), want: Info{Start: 4711, Ended: true}},
		"ended leader, living threads": {data: stat("7 (java) Z", "2", "4711"), want: Info{Start: 4711}},
		"ten threads":                  {data: stat("7 (java) Z", "10", "4711"), want: Info{Start: 4711}},
		"parentheses in names":         {data: stat("7 (a) Z (b) R", "1", "4711"), want: Info{Start: 4711}},
		"cut":                          {data: "7 (sleep) S 1 2", bad: true},
		"empty":                        {data: "", bad: true},
		"no number":                    {data: stat("7 (sleep) S", "1", "x"), bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat([]byte(test.data))
			require.Equal(t, test.bad, err != nil)
			require.Equal(t, test.want, got)
		})
	}
}

func TestInspectARealProcess(t *testing.T) {
	own, err := Inspect(os.Getpid())
	require.NoError(t, err)
	require.False(t, own.Ended)

	child := exec.Command("/bin/sleep", "60")
	require.NoError(t, child.Start())
	before, err := Inspect(child.Process.Pid)
	require.NoError(t, err)
	require.GreaterOrEqual(t, before.Start, own.Start)
	require.NoError(t, child.Process.Kill())
	require.Eventually(t, func() bool {
		after, err := Inspect(child.Process.Pid)
		return err == nil && after == Info{Start: before.Start, Ended: true}
	}, 10*time.Second, 5*time.Millisecond, "unreaped, it is there and has ended")
	require.Error(t, child.Wait())
	_, err = Inspect(child.Process.Pid)
	require.ErrorIs(t, err, ErrNone)
}
