// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/discovery"
)

// The cost of opening a session: one durable record, alone and among others
// that are opened at the same time.
func BenchmarkPutSession(b *testing.B) {
	for _, clients := range []int{1, 50} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s, err := Open(Options{Dir: b.TempDir()})
			require.NoError(b, err)
			defer s.Close()
			b.SetParallelism(clients) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					r := discovery.SessionRecord{User: "alice", SessionID: fmt.Sprintf("s%d", i%1000)}
					require.NoError(b, s.PutSession(b.Context(), r))
				}
			})
		})
	}
}
