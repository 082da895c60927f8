// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// internalText is what a client reads of an error that has no class.
	internalText = "The gateway met an unexpected error. Its log has the cause at the time of this call; try again, or tell an administrator."
	// retriedCode is the one code that every client retries.
	retriedCode = codes.Unavailable
	// wireLimit bounds the percent-encoded message. It travels twice (as
	// grpc-message and inside grpc-status-details-bin) and clients refuse more
	// than 8 KiB of trailers.
	wireLimit = 2700
)

// Status is the gRPC status to answer err with. An *Error anywhere in the
// chain decides; a status of another origin and the end of a context pass
// unchanged; anything else is INTERNAL with a text that reveals nothing.
func Status(err error) *status.Status {
	if e, ok := find(err); ok {
		return e.GRPCStatus()
	}
	if s, foreign := foreignStatus(err); foreign {
		return s
	}
	return New(Internal, internalText).GRPCStatus()
}

// GRPCStatus is the status of this error: Spark's own shapes have Spark's
// ErrorInfo, ours have a RequestInfo with the class, and RetryInfo where the
// class says so. (Without any detail PySpark prints a dump of the call, and it
// answers every other ErrorInfo with a Config call, which would open a session,
// fail the same way and recurse: docs/decisions/0004-local-replies.md.) The cause
// is not part of it. Equal errors have equal bytes.
func (e *Error) GRPCStatus() *status.Status {
	s := &spb.Status{Code: int32(e.class.code), Message: e.Message()}
	details := []proto.Message{&errdetails.RequestInfo{ServingData: e.class.reason()}}
	if e.class.spark {
		details = []proto.Message{sparkErrorInfo(e)}
	}
	if e.class.retryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.class.retryAfter)})
	}
	for _, detail := range details {
		packed := new(anypb.Any)
		if err := anypb.MarshalFrom(packed, detail, proto.MarshalOptions{Deterministic: true}); err == nil {
			s.Details = append(s.Details, packed)
		} // only invalid UTF-8 fails, and cutTo leaves none
	}
	return status.FromProto(s)
}
