// SPDX-License-Identifier: Apache-2.0

package proxy

import "time"

// Within reads a message of a call, or gives up: late is true after that time,
// and the call can do nothing but end, which ends the reading too. (grpc has no
// time for a message.)
func Within(most time.Duration, read func() error) (late bool, err error) {
	done := make(chan error, 1)
	go func() { done <- read() }() // ends with the call, see above
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case err := <-done:
		return false, err
	case <-timer.C:
		return true, nil
	}
}
