// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is a client that speaks HTTP/2 without any of a library's manners.
type frames struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	next   uint32
	coded  bytes.Buffer
	coder  *hpack.Encoder
}

// answer is what a raw call got: a gRPC status, an HTTP status alone, or the
// end of its stream or connection.
type answer struct {
	http, code, message string
	reset               bool
}

// dialFrames opens a connection; it is closed at the end of the test.
func dialFrames(t *testing.T, address string) *frames {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.Write([]byte(http2.ClientPreface))
	require.NoError(t, err)
	f := &frames{t: t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1}
	f.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.coder = hpack.NewEncoder(&f.coded)
	require.NoError(t, f.framer.WriteSettings())
	return f
}

// head are the pseudo headers and gRPC's own, for a path.
func head(path string) []hpack.HeaderField {
	return pairs(":method", "POST", ":scheme", "http", ":path", path, ":authority", "gateway",
		"content-type", "application/grpc", "te", "trailers")
}

func pairs(of ...string) []hpack.HeaderField {
	var all []hpack.HeaderField
	for i := 0; i < len(of); i += 2 {
		all = append(all, hpack.HeaderField{Name: of[i], Value: of[i+1]})
	}
	return all
}

// call sends headers and one message and waits for the answer.
func (f *frames) call(headers []hpack.HeaderField, message []byte) answer {
	f.t.Helper()
	stream := f.next
	f.next += 2
	f.coded.Reset()
	for _, h := range headers {
		require.NoError(f.t, f.coder.WriteField(h))
	}
	f.writeBlock(stream, f.coded.Bytes())
	data := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	if err := f.framer.WriteData(stream, true, data); err != nil {
		return answer{reset: true}
	}
	return f.await(stream)
}

// writeBlock splits a header block into frames.
func (f *frames) writeBlock(stream uint32, block []byte) {
	f.t.Helper()
	const most = 16 << 10
	first, rest := block[:min(most, len(block))], block[min(most, len(block)):]
	err := f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: len(rest) == 0})
	for err == nil && len(rest) > 0 {
		n := min(most, len(rest))
		err = f.framer.WriteContinuation(stream, n == len(rest), rest[:n])
		rest = rest[n:]
	}
	_ = err // a connection that was closed shows in await
}

// await reads until the stream has its end.
func (f *frames) await(stream uint32) answer {
	f.t.Helper()
	require.NoError(f.t, f.conn.SetReadDeadline(time.Now().Add(callTimeout)))
	var got answer
	for {
		frame, err := f.framer.ReadFrame()
		if err != nil {
			var timeout net.Error
			require.NotErrorAs(f.t, err, &timeout, "no answer")
			got.reset = true
			return got
		}
		if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
			_ = f.framer.WriteSettingsAck()
		}
		if frame.Header().StreamID != stream {
			if _, gone := frame.(*http2.GoAwayFrame); gone {
				got.reset = true
				return got
			}
			continue
		}
		if got.take(frame) {
			return got
		}
	}
}

// take reads one frame of the stream and reports whether it was the last one.
func (a *answer) take(frame http2.Frame) (last bool) {
	switch frame := frame.(type) {
	case *http2.RSTStreamFrame:
		a.reset = a.code == ""
		return true
	case *http2.MetaHeadersFrame:
		for _, h := range frame.Fields {
			switch h.Name {
			case ":status":
				a.http = h.Value
			case "grpc-status":
				a.code = h.Value
			case "grpc-message":
				a.message = h.Value
			}
		}
		return frame.StreamEnded()
	case *http2.DataFrame:
		return frame.StreamEnded()
	}
	return false
}
