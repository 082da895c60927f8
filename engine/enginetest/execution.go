// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	connect "roundhouse/proto/gen/spark/connect"
)

type state = connect.GetStatusResponse_OperationStatus_OperationState

const (
	stateUnknown     = connect.GetStatusResponse_OperationStatus_OPERATION_STATE_UNKNOWN
	stateRunning     = connect.GetStatusResponse_OperationStatus_OPERATION_STATE_RUNNING
	stateTerminating = connect.GetStatusResponse_OperationStatus_OPERATION_STATE_TERMINATING
	stateSucceeded   = connect.GetStatusResponse_OperationStatus_OPERATION_STATE_SUCCEEDED
	stateFailed      = connect.GetStatusResponse_OperationStatus_OPERATION_STATE_FAILED
	stateCancelled   = connect.GetStatusResponse_OperationStatus_OPERATION_STATE_CANCELLED
)

// execution is one operation. It computes in its own goroutine, with or
// without a stream that takes its responses away.
type execution struct {
	id           string
	plan         *connect.Plan
	tags         []string
	reattachable bool
	work         work
	ctx          context.Context // ends when it is interrupted or removed
	cancel       context.CancelFunc

	mu struct {
		sync.Mutex
		responses responses
		done      bool
		err       *sparkError // how it ended, nil: well
		removed   bool
		sender    *sender // the attached stream
		detached  time.Time
		changed   chan struct{} // closed and replaced at each change
	}
}

func newExecution(ctx context.Context, id string, r *connect.ExecutePlanRequest, w work) *execution {
	x := &execution{id: id, plan: r.Plan, tags: r.Tags, work: w, reattachable: isReattachable(r)}
	x.ctx, x.cancel = context.WithCancel(ctx)
	x.mu.responses = newResponses()
	x.mu.detached = time.Now()
	x.mu.changed = make(chan struct{})
	return x
}

func isReattachable(r *connect.ExecutePlanRequest) bool {
	for _, o := range r.RequestOptions {
		if o.GetReattachOptions().GetReattachable() {
			return true
		}
	}
	return false
}

func (x *execution) samePlan(other *execution) bool { return proto.Equal(x.plan, other.plan) }

// run computes the responses and ends the execution.
func (x *execution) run() {
	defer x.cancel()
	err := x.work.run(x.ctx, x.append)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil && x.reattachable {
		x.mu.responses.append(item{kind: kindComplete})
	}
	x.mu.done, x.mu.err = true, err
	x.wake()
}

func (x *execution) append(i item) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.responses.append(i)
	x.wake()
}

// wake tells the sender that something changed; the lock is held.
func (x *execution) wake() {
	close(x.mu.changed)
	x.mu.changed = make(chan struct{})
}

func (x *execution) running() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.mu.done
}

// busy is whether it computes or has a client that takes its result.
func (x *execution) busy() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.mu.done || x.mu.sender != nil
}

// interrupt cancels the computation; false when it is over already.
func (x *execution) interrupt() bool {
	if !x.running() {
		return false
	}
	x.cancel()
	return true
}

// state is what GetStatus says while the operation is not released.
func (x *execution) state() state {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case !x.mu.done:
		return stateRunning
	case x.cancelled():
		return stateCancelled
	}
	return stateTerminating
}

func (x *execution) cancelled() bool {
	return x.mu.err != nil && x.mu.err.shape.class == errOperationCanceled.class
}

// end cuts the stream of the execution off, cancels it and returns its last
// state. The stream must hear of its end before the cancellation has effect.
func (x *execution) end() state {
	defer x.cancel()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.removed, x.mu.sender = true, nil
	x.wake()
	switch {
	case !x.mu.done || x.cancelled():
		return stateCancelled
	case x.mu.err != nil:
		return stateFailed
	}
	return stateSucceeded
}

// detachedBefore tells whether the operation has been without a stream since
// before t.
func (x *execution) detachedBefore(t time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.mu.sender == nil && x.mu.detached.Before(t)
}

// releaseUntil forgets the responses up to and with the one of that id.
func (x *execution) releaseUntil(responseID string) *sparkError {
	x.mu.Lock()
	defer x.mu.Unlock()
	index, err := x.mu.responses.index(responseID)
	if err == nil {
		x.mu.responses.dropUntil(index)
	}
	return err
}
