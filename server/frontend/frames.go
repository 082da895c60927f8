// SPDX-License-Identifier: Apache-2.0

package frontend

// The kinds of HTTP/2 frames that have a price (RFC 9113, section 6).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameSettings     = 0x4
	frameContinuation = 0x9

	flagAck          = 0x1
	frameHeaderBytes = 9
	settingBytes     = 6
	prefaceBytes     = 24 // what a client sends before its first frame
)

// Prices in units of connUnits. A frame costs about what it makes grpc do. A call
// is paid for when it begins and paid back when it is answered, so calls that
// are begun in vain cost, whoever resets them.
const (
	smallFrame   = 1   // pings, window updates, resets, unknown ones
	callBegins   = 10  // HEADERS from the client
	callAnswered = -12 // HEADERS to the client
	dataSent     = -4  // DATA to the client: it answers by window updates and pings
	perSetting   = 10  // a new window is written into every open stream
	blockBytes   = 256 // of compressed headers per unit
	smallPayload = 64  // of DATA in bytes: from here on its bytes are its price
)

// frameScanner finds the frames in one direction of a connection, whatever the
// pieces that it is given. The zero value expects a frame.
type frameScanner struct {
	skip   int // bytes that are no frame header
	header [frameHeaderBytes]byte
	have   int // of header
}

// price sums up what the frames that begin in p cost.
func (s *frameScanner) price(p []byte, of func(kind, flags byte, length int) int) (sum int) {
	for len(p) > 0 {
		if s.skip > 0 {
			n := min(s.skip, len(p))
			s.skip -= n
			p = p[n:]
			continue
		}
		n := copy(s.header[s.have:], p)
		s.have += n
		p = p[n:]
		if s.have == frameHeaderBytes {
			h := s.header
			s.have, s.skip = 0, int(h[0])<<16|int(h[1])<<8|int(h[2])
			sum += of(h[3], h[4], s.skip)
		}
	}
	return sum
}

// received is the price of a frame from the client.
func received(kind, flags byte, length int) int {
	switch {
	case kind == frameHeaders:
		return callBegins + length/blockBytes
	case kind == frameContinuation:
		return smallFrame + length/blockBytes
	case kind == frameSettings && flags&flagAck == 0:
		return perSetting * (1 + length/settingBytes)
	case kind == frameData && length >= smallPayload:
		return 0
	}
	return smallFrame
}

// sent is the price of a frame to the client, at most zero.
func sent(kind, _ byte, length int) int {
	switch {
	case kind == frameHeaders:
		return callAnswered
	case kind == frameData && length > 0:
		return dataSent
	}
	return 0
}
