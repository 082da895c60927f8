// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"encoding/binary"
	"strconv"

	"github.com/google/uuid"
)

// kind is the kind of a response.
type kind uint8

const (
	kindSchema kind = iota + 1
	kindBatch
	kindMetrics
	kindReply // the result of a command
	kindComplete
)

// item describes a response; its bytes are made when it is sent, so that a
// result of any size costs a few bytes here.
type item struct {
	kind  kind
	start int64 // first row of a batch
	rows  int64
}

// size is what the retry buffer counts for an item: its rows and about what
// Spark's envelope takes.
func (i item) size() int64 { return 200 + arrowBytes(i.rows) }

// responses is the list of the responses of one execution, with Spark's rules
// about which of them can be had again. Indexes start with 1. It is not safe
// for concurrent use.
type responses struct {
	prefix uuid.UUID // of the response ids
	items  []item    // first, first+1, ...
	first  int       // index of items[0]
}

func newResponses() responses { return responses{prefix: uuid.New(), first: 1} }

// id is the response id of an index: the execution's prefix and the index in
// the last six bytes.
func (r *responses) id(index int) string {
	id := r.prefix
	var tail [8]byte
	binary.BigEndian.PutUint64(tail[:], uint64(index))
	copy(id[10:], tail[2:])
	return id.String()
}

// index finds the index of a response id that was produced already.
func (r *responses) index(id string) (int, *sparkError) {
	if u, err := uuid.Parse(id); err == nil && string(u[:10]) == string(r.prefix[:10]) {
		index := int(binary.BigEndian.Uint64(u[8:]) & (1<<48 - 1))
		if index >= 1 && index <= r.last() {
			return index, nil
		}
	}
	return 0, fail(errPositionNotFound, "responseId", id)
}

func (r *responses) last() int { return r.first + len(r.items) - 1 }

func (r *responses) append(i item) { r.items = append(r.items, i) }

// consume hands out the response of an index, ok false when it is not there
// yet. Then older responses are dropped, except for the newest ones of
// up to retryBuffer bytes, one at least.
func (r *responses) consume(index int, retryBuffer int64) (i item, ok bool, err *sparkError) {
	if index > r.last() {
		return item{}, false, nil
	}
	if index < r.first {
		return item{}, false, fail(errPositionNotAvailable, "responseId", r.id(index), "index", strconv.Itoa(index))
	}
	i = r.items[index-r.first]
	keep, bytes := index-1, int64(0)
	for keep >= r.first && bytes < retryBuffer {
		bytes += r.items[keep-r.first].size()
		keep--
	}
	r.dropUntil(keep)
	return i, true, nil
}

// dropUntil forgets the responses up to and with an index.
func (r *responses) dropUntil(index int) {
	if index < r.first {
		return
	}
	r.items = r.items[index-r.first+1:]
	r.first = index + 1
}
