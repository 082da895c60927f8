// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	connect "roundhouse/proto/gen/spark/connect"
)

// responseStream is the part of a gRPC stream that a sender writes to.
type responseStream interface {
	Context() context.Context
	Send(*connect.ExecutePlanResponse) error
}

// sender carries the responses of one execution over one stream. Send blocks
// while HTTP/2 flow control says so; that is the only brake.
type sender struct {
	x       *execution
	session *session
	stream  responseStream
	next    int // index of the response to send next
	sent    int64
	over    <-chan time.Time // the stream has lasted long enough
}

// attach makes the stream the one stream of the execution; an older one ends
// with DISCONNECTED. It starts after the response of the id after, or with the
// first one.
func (x *execution) attach(s *session, stream responseStream, after string) (*sender, *sparkError) {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := &sender{x: x, session: s, stream: stream, next: 1}
	if after != "" {
		index, err := x.mu.responses.index(after)
		if err != nil {
			return nil, err
		}
		out.next = index + 1
	}
	if !x.mu.removed {
		x.mu.sender = out
	}
	x.wake()
	return out, nil
}

func (s *sender) detach() {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	if s.x.mu.sender == s {
		s.x.mu.sender = nil
		s.x.mu.detached = time.Now()
	}
}

// run sends until the execution or the stream is over. Its error is nil both
// when all was sent and when the client has to reattach for the rest.
func (s *sender) run() error {
	defer s.detach()
	o := s.session.manager.opts
	if s.x.reattachable {
		timer := time.NewTimer(o.MaxStreamDuration)
		defer timer.Stop()
		s.over = timer.C
	}
	for !s.x.reattachable || s.sent <= o.MaxStreamSize {
		i, more, err := s.take()
		if err != nil || !more {
			return err
		}
		r := s.render(i)
		if err := s.stream.Send(r); err != nil {
			return err
		}
		s.sent += int64(proto.Size(r))
		s.next++
	}
	return nil
}

// take waits for the next response; more is false when the stream ends well.
func (s *sender) take() (i item, more bool, err error) {
	for {
		select {
		case <-s.over:
			return item{}, false, nil
		default:
		}
		i, ready, changed, failure := s.poll()
		switch {
		case failure != nil:
			return item{}, false, s.session.failed(failure)
		case ready:
			return i, i.kind != 0, nil
		}
		select {
		case <-changed:
		case <-s.over:
			return item{}, false, nil
		case <-s.stream.Context().Done():
			return item{}, false, s.stream.Context().Err()
		}
	}
}

// poll looks at the execution once. When nothing is ready, changed is closed
// at its next change; a ready item without kind is the end.
func (s *sender) poll() (i item, ready bool, changed <-chan struct{}, err *sparkError) {
	x := s.x
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mu.sender != s {
		return item{}, false, nil, fail(errDisconnected)
	}
	i, ready, err = x.mu.responses.consume(s.next, s.session.manager.opts.RetryBuffer)
	if err != nil || ready {
		return i, ready, nil, err
	}
	if x.mu.done {
		return item{}, true, nil, x.mu.err
	}
	return item{}, false, x.mu.changed, nil
}

// render makes the message of an item.
func (s *sender) render(i item) *connect.ExecutePlanResponse {
	s.x.mu.Lock()
	responseID := s.x.mu.responses.id(s.next)
	s.x.mu.Unlock()
	r := &connect.ExecutePlanResponse{
		SessionId: s.session.key.id, ServerSideSessionId: s.session.serverSide,
		OperationId: s.x.id, ResponseId: responseID,
	}
	switch i.kind {
	case kindSchema:
		r.Schema = rangeSchema()
	case kindBatch:
		r.ResponseType = &connect.ExecutePlanResponse_ArrowBatch_{ArrowBatch: batch(i.start, i.rows)}
	case kindMetrics:
		r.Metrics = &connect.ExecutePlanResponse_Metrics{}
	case kindReply:
		s.x.work.reply(r)
	case kindComplete:
		r.ResponseType = &connect.ExecutePlanResponse_ResultComplete_{ResultComplete: &connect.ExecutePlanResponse_ResultComplete{}}
	}
	return r
}
