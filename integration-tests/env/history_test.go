// SPDX-License-Identifier: Apache-2.0

package env

import (
	"testing"

	"github.com/stretchr/testify/require"

	pb "roundhouse/proto/gen/spark/connect"
)

func TestHistoryFindsRowsThatAreDoubled(t *testing.T) {
	var h History
	r := &pb.ExecutePlanResponse{ResponseId: "r1"}
	require.NoError(t, h.Add(r))
	require.ErrorContains(t, h.Add(r), "came twice")
	start := int64(7)
	gap := &pb.ExecutePlanResponse{ResponseId: "r2", ResponseType: &pb.ExecutePlanResponse_ArrowBatch_{
		ArrowBatch: &pb.ExecutePlanResponse_ArrowBatch{StartOffset: &start},
	}}
	require.ErrorContains(t, h.Add(gap), "expected row 0")
}
