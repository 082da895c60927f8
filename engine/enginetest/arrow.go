// SPDX-License-Identifier: Apache-2.0

package enginetest

import "encoding/binary"

// An Arrow IPC stream of one column "id" (int64, no nulls) with one record
// batch is arrowHead, the values (8 bytes each, little endian) and arrowTail.
// The head is constant but for four numbers, zero here: the number of rows in
// two places and that of bytes in two others. It holds the schema message
// (0-127) and the metadata of the record batch (128-271).
const (
	arrowHead = "" +
		"\xff\xff\xff\xff\x78\x00\x00\x00\x10\x00\x00\x00\x00\x00\x0a\x00" +
		"\x0c\x00\x06\x00\x05\x00\x08\x00\x0a\x00\x00\x00\x00\x01\x04\x00" +
		"\x0c\x00\x00\x00\x08\x00\x08\x00\x00\x00\x04\x00\x08\x00\x00\x00" +
		"\x04\x00\x00\x00\x01\x00\x00\x00\x14\x00\x00\x00\x10\x00\x14\x00" +
		"\x08\x00\x00\x00\x07\x00\x0c\x00\x00\x00\x10\x00\x10\x00\x00\x00" +
		"\x00\x00\x00\x02\x10\x00\x00\x00\x1c\x00\x00\x00\x04\x00\x00\x00" +
		"\x00\x00\x00\x00\x02\x00\x00\x00\x69\x64\x00\x00\x08\x00\x0c\x00" +
		"\x08\x00\x07\x00\x08\x00\x00\x00\x00\x00\x00\x01\x40\x00\x00\x00" +
		"\xff\xff\xff\xff\x88\x00\x00\x00\x14\x00\x00\x00\x00\x00\x00\x00" +
		"\x0c\x00\x16\x00\x06\x00\x05\x00\x08\x00\x0c\x00\x0c\x00\x00\x00" +
		"\x00\x03\x04\x00\x18\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x0a\x00\x18\x00\x0c\x00\x04\x00\x08\x00\x0a\x00\x00\x00" +
		"\x3c\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	arrowTail = "\xff\xff\xff\xff\x00\x00\x00\x00" // end of the stream
)

// Where the numbers stand in the head.
var (
	arrowRowsAt  = [...]int{200, 256} // RecordBatch.length, FieldNode.length
	arrowBytesAt = [...]int{168, 240} // Message.bodyLength, length of the value buffer
)

// arrowStream encodes rows whose values value gives.
func arrowStream(rows int64, value func(i int64) uint64) []byte {
	data := make([]byte, len(arrowHead), arrowBytes(rows))
	copy(data, arrowHead)
	for _, at := range arrowRowsAt {
		binary.LittleEndian.PutUint64(data[at:], uint64(rows))
	}
	for _, at := range arrowBytesAt {
		binary.LittleEndian.PutUint64(data[at:], uint64(rows*rowBytes))
	}
	for i := range rows {
		data = binary.LittleEndian.AppendUint64(data, value(i))
	}
	return append(data, arrowTail...)
}

// arrowBytes is the size of a stream of so many rows.
func arrowBytes(rows int64) int64 {
	return int64(len(arrowHead)) + rows*rowBytes + int64(len(arrowTail))
}

// arrowValue reads a row of a stream that arrowStream made.
func arrowValue(data []byte, row int64) uint64 {
	return binary.LittleEndian.Uint64(data[int64(len(arrowHead))+row*rowBytes:])
}
