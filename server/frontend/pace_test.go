// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"roundhouse/internal/netaddr"
)

// frame is an HTTP/2 frame with an empty payload of a size.
func frame(kind byte, payload int) []byte {
	return append([]byte{byte(payload >> 16), byte(payload >> 8), byte(payload), kind, 0, 0, 0, 0, 1}, make([]byte, payload)...)
}

// paced is a connection whose client sends what it is given and then leaves.
type paced struct {
	*pacedConn
	client    net.Conn
	slowCalls int
	threwOut  bool
}

func newPaced(sends ...[]byte) *paced {
	server, client := net.Pipe()
	p := &paced{client: client}
	p.pacedConn = newPacedConn(server, func() { p.slowCalls++ }, func(threwOut bool) { p.threwOut = threwOut })
	go func() { // ends when either side closes the pipe
		defer func() { _ = client.Close() }()
		for _, b := range append([][]byte{make([]byte, prefaceBytes)}, sends...) {
			if _, err := client.Write(b); err != nil {
				return
			}
		}
	}()
	return p
}

const framePing = 0x6

func TestFloodIsReadAtThePaceOfItsAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced(bytes.Repeat(frame(framePing, 8), 5000))
		begin := time.Now()
		_, err := io.Copy(io.Discard, p)
		require.NoError(t, err)
		require.InDelta(t, float64(5000-firstUnits)/connRefill, time.Since(begin).Seconds(), 0.2)
		require.Equal(t, 1, p.slowCalls)
		require.NoError(t, p.Close())
		require.False(t, p.threwOut, "the client left by itself")
	})
}

// TestClosedConnectionsEndInOrder: the client gets the end of the stream, not a
// reset, though it had more to say.
func TestClosedConnectionsEndInOrder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	accepted, err := l.Accept()
	require.NoError(t, err)
	p, _, err := newPacer(insecure.NewCredentials(), slog.New(slog.DiscardHandler)).ServerHandshake(accepted)
	require.NoError(t, err)
	_, err = client.Write(make([]byte, 20<<10))
	require.NoError(t, err)
	buf, n, err := p.(*pacedTCP).ReadOnReady(32<<10, mem.DefaultBufferPool())
	require.NoError(t, err)
	require.Less(t, n, 20<<10, "nothing is left unread: the test shows nothing")
	mem.DefaultBufferPool().Put(buf)
	require.NoError(t, p.Close())
	_, err = io.ReadAll(client)
	require.NoError(t, err)
}

func TestEndlessFloodIsThrownOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced(bytes.Repeat(frame(frameSettings, 6000), 100))
		_, err := io.Copy(io.Discard, p)
		require.ErrorIs(t, err, errFlood)
		require.NoError(t, p.Close())
		require.True(t, p.threwOut)
	})
}

func TestCloseEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced(frame(frameSettings, 6000), frame(framePing, 8))
		ended := make(chan error)
		go func() { _, err := io.Copy(io.Discard, p); ended <- err }()
		synctest.Wait() // it sleeps
		begin := time.Now()
		require.NoError(t, p.Close())
		require.ErrorIs(t, <-ended, net.ErrClosed)
		require.Zero(t, time.Since(begin))
	})
}

// TestWorkIsNeverSlowed: calls that are answered, large uploads, and clients
// that answer every piece of a download by window updates and a ping.
func TestWorkIsNeverSlowed(t *testing.T) {
	call := append(frame(frameHeaders, 300), frame(frameData, 40)...)
	answer := append(append(frame(frameHeaders, 20), frame(frameData, 30)...), frame(frameHeaders, 30)...)
	updates := append(append(frame(0x8, 4), frame(0x8, 4)...), frame(framePing, 8)...)
	for name, exchange := range map[string]struct{ in, out []byte }{
		"unary calls":        {call, answer},
		"refused calls":      {call, frame(frameHeaders, 60)},
		"calls with a token": {append(frame(frameHeaders, 1024), frame(frameData, 40)...), answer},
		"upload":             {frame(frameData, 16<<10), nil},
		"download":           {updates, frame(frameData, 16<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPaced(bytes.Repeat(exchange.in, 3000))
				go func() { _, _ = io.Copy(io.Discard, p.client) }() // ends with the pipe
				buf, begin := make([]byte, len(exchange.in)), time.Now()
				_, err := io.ReadFull(p, buf[:1])
				for err == nil {
					_, werr := p.Write(exchange.out)
					if errors.Is(werr, io.ErrClosedPipe) {
						break
					}
					_, err = io.ReadFull(p, buf)
				}
				require.Zero(t, p.slowCalls)
				require.Zero(t, time.Since(begin))
				require.NoError(t, p.Close())
			})
		})
	}
}

func TestAddressOfThrownOutConnectionsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		p := newPacer(insecure.NewCredentials(), slog.New(slog.NewTextHandler(&said, nil)))
		bad := netaddr.Network("2001:db8::1")
		require.Equal(t, bad, netaddr.Network("2001:db8::2"), "one network")
		for range thrownOut {
			p.threwOut(bad)
		}
		require.Zero(t, p.debt(bad))
		for range 1000 {
			p.threwOut(bad)
		}
		require.Equal(t, thrownOutDebt/thrownOutRefill*time.Second, p.debt(bad))
		require.Zero(t, p.debt("192.0.2.1"))
		time.Sleep(time.Minute)
		require.Zero(t, p.debt(bad))

		p.slowed(&net.TCPAddr{})
		p.slowed(&net.TCPAddr{})
		require.Equal(t, 1, strings.Count(said.String(), "slowed down"))
	})
}

func TestRecoveredAddressesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(insecure.NewCredentials(), slog.New(slog.DiscardHandler))
		for i := range 3 * manyAddresses {
			p.threwOut(fmt.Sprintf("10.0.%d.%d", i>>8, i&0xff))
			time.Sleep(10 * time.Millisecond)
		}
		require.LessOrEqual(t, len(p.known), manyAddresses)
	})
}
