// SPDX-License-Identifier: Apache-2.0

package door

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStrangersMakeRoomForOneAnother: idle connections of an address close the
// oldest of them, never one on which somebody has called.
func TestStrangersMakeRoomForOneAnother(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := New(l, 2)
	t.Cleanup(func() { _ = d.Close() })
	meet := func() (client, c net.Conn) {
		client, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		c, err = d.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return client, c
	}
	closed := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		timeout, ok := err.(net.Error)
		return !ok || !timeout.Timeout()
	}
	friend, g := meet()
	g.RemoteAddr().(Addr).Known()
	oldest, _ := meet()
	second, s := meet()
	require.False(t, closed(oldest))
	third, _ := meet()
	require.True(t, closed(oldest))
	require.False(t, closed(second) || closed(third) || closed(friend))
	require.NoError(t, s.Close())
	meet()
	require.False(t, closed(third), "one that left makes room")
	require.Len(t, d.strangers["127.0.0.1"], 2)
	d.strangers["127.0.0.1"][0].signed.Store(true) // it becomes known at this moment
	last, _ := meet()
	require.False(t, closed(third), "it is not closed for the next one")
	require.False(t, closed(last))
}
