// SPDX-License-Identifier: Apache-2.0

package env

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package and exits. They fail when a goroutine is left.
func Main(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

type tests struct{ *testing.M }

// Run runs the tests and drops the idle connections of REST calls.
func (m tests) Run() int {
	defer http.DefaultClient.CloseIdleConnections()
	return m.M.Run()
}

// Randomness is another one in each run; the log tells how to repeat it.
func Randomness(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Lazily prints what the function returns when the message is needed.
type Lazily func() any

// String calls the function.
func (f Lazily) String() string { return fmt.Sprint(f()) }
