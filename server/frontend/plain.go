// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"time"

	"roundhouse/internal/errs"
	"roundhouse/internal/tlsx"
)

// plainPatience is how long a client that speaks plaintext to a port with TLS may
// take to make its call and read why it is refused.
const plainPatience = 800 * time.Millisecond

// plainLimit bounds what is read of it, in bytes.
const plainLimit = 64 << 10

// plainAdvice is what it is told.
const plainAdvice = "This port of the gateway speaks TLS: add ;use_ssl=true to the sc:// line."

// prefaceStart begins what HTTP/2 clients send first (RFC 9113 section 3.4).
const prefaceStart = "PRI"

// The rest of what is needed of HTTP/2 (RFC 9113 section 6); see frames.go.
const (
	frameGoAway    = 0x7
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
)

// answerPlain tells a client that speaks plaintext what to do: one of HTTP/2 in
// the answer to its first call, an error that Spark's clients show at once, any
// other in HTTP/1. A GOAWAY alone would make gRPC connect again without a pause.
func answerPlain(conn *tlsx.Peeked) {
	_ = conn.SetDeadline(time.Now().Add(plainPatience))
	in := bufio.NewReader(io.LimitReader(conn, plainLimit))
	if start, _ := in.Peek(len(prefaceStart)); string(start) == prefaceStart {
		refuseCall(conn, in)
	} else {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n",
			len(plainAdvice)+1, plainAdvice)
	}
	endPlain(conn)
}

// refuseCall answers the first call of an HTTP/2 client with an error.
func refuseCall(conn io.Writer, in *bufio.Reader) {
	settings := http2Frame(frameSettings, 0, 0, nil)
	if _, err := conn.Write(append(settings, http2Frame(frameSettings, flagAck, 0, nil)...)); err != nil {
		return
	}
	if _, err := in.Discard(prefaceBytes); err != nil {
		return
	}
	stream := firstCall(in)
	if stream == 0 {
		return
	}
	away := binary.BigEndian.AppendUint32(nil, stream)
	answer := http2Frame(frameHeaders, flagEndStream|flagEndHeaders, stream, refusal())
	_, _ = conn.Write(append(answer, http2Frame(frameGoAway, 0, 0, append(away, 0, 0, 0, 0))...))
}

// firstCall reads frames until one begins a call; 0 if none does in time.
func firstCall(in *bufio.Reader) (stream uint32) {
	var head [frameHeaderBytes]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return 0
		}
		if head[3] == frameHeaders {
			return binary.BigEndian.Uint32(head[5:])
		}
		length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := in.Discard(length); err != nil {
			return 0
		}
	}
}

func http2Frame(kind, flags byte, stream uint32, body []byte) []byte {
	b := []byte{byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), body...)
}

// refusal are the headers of an answer of gRPC that is nothing but an error.
func refusal() []byte {
	status := errs.Status(errs.New(errs.InvalidRequest, plainAdvice))
	block := []byte{0x88} // :status 200, of the static table (RFC 7541 appendix A)
	for _, h := range [][2]string{
		{"content-type", "application/grpc"}, {"grpc-status", strconv.Itoa(int(status.Code()))}, {"grpc-message", status.Message()},
	} {
		block = append(block, 0, byte(len(h[0]))) // literal, not indexed, no Huffman; all are shorter than 127
		block = append(append(block, h[0]...), byte(len(h[1])))
		block = append(block, h[1]...)
	}
	return block
}

// endPlain reads what the client still sends until it has gone or the deadline
// comes: TCP would otherwise reset the connection before the answer arrives.
func endPlain(conn *tlsx.Peeked) {
	if conn.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, conn, wasteAtClose)
	}
}
