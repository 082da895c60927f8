// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"fmt"

	connect "roundhouse/proto/gen/spark/connect"
)

// rowBytes is the size of one value in ArrowBatch.data.
const rowBytes = 8

// RowHash is the content of row i: the splitmix64 mix of its number. It is the
// value of the only column, "id", in Arrow's own format, so that real clients
// can read it too.
func RowHash(i uint64) uint64 {
	i += 0x9e3779b97f4a7c15
	i = (i ^ i>>30) * 0xbf58476d1ce4e5b9
	i = (i ^ i>>27) * 0x94d049bb133111eb
	return i ^ i>>31
}

// batch makes the rows from start on; start_offset names the first one.
func batch(start, rows int64) *connect.ExecutePlanResponse_ArrowBatch {
	data := arrowStream(rows, func(i int64) uint64 { return RowHash(uint64(start + i)) })
	return &connect.ExecutePlanResponse_ArrowBatch{RowCount: rows, Data: data, StartOffset: &start}
}

// RowCheck reads batches of the fake engine in order and proves that rows are
// complete: none lost, none doubled, none changed. The zero value expects row 0.
type RowCheck struct {
	// Rows is the number of rows seen so far, so also the number of the next one.
	Rows int64
}

// Add takes the next response of an execution, batch or not. The error says
// which row was expected and what came.
func (c *RowCheck) Add(r *connect.ExecutePlanResponse) error {
	b := r.GetArrowBatch()
	if b == nil {
		return nil
	}
	if b.GetStartOffset() != c.Rows {
		return fmt.Errorf("expected row %d next, the batch starts with row %d", c.Rows, b.GetStartOffset())
	}
	if int64(len(b.Data)) != arrowBytes(b.RowCount) {
		return fmt.Errorf("batch at row %d: %d bytes for %d rows", c.Rows, len(b.Data), b.RowCount)
	}
	for i := range b.RowCount {
		if arrowValue(b.Data, i) != RowHash(uint64(c.Rows+i)) {
			return fmt.Errorf("row %d has another content", c.Rows+i)
		}
	}
	c.Rows += b.RowCount
	return nil
}
