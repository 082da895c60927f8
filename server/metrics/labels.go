// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"

	"google.golang.org/grpc/codes"

	connect "roundhouse/proto/gen/spark/connect"
)

// other stands for every label value that is not on its list.
const other = "other"

// LaunchFailure is why a launch ended without an engine.
type LaunchFailure string

// The reasons of LaunchFailed.
const (
	// LaunchError: spark-submit could not be started, or it or the driver ended by itself.
	LaunchError LaunchFailure = "error"
	// LaunchTimeout: the engine did not register in time.
	LaunchTimeout LaunchFailure = "timeout"
	// LaunchCancelled: nobody waited for it any longer, or an administrator ended it.
	LaunchCancelled LaunchFailure = "cancelled"
)

// Rejection is why a registration was not accepted.
type Rejection string

// The reasons of NodeRejected.
const (
	// RejectedInvalid: the node is not signed by the key of its engine, or not
	// in its space.
	RejectedInvalid Rejection = "invalid"
	// RejectedUnknown: nobody waits for this engine.
	RejectedUnknown Rejection = "unknown"
)

// methodLabel keeps the methods of the service apart; anything else that a
// client may call counts together.
func methodLabel(fullMethod string) string {
	name, ok := strings.CutPrefix(fullMethod, "/"+connect.SparkConnectService_ServiceDesc.ServiceName+"/")
	if !ok {
		return other
	}
	for _, m := range connect.SparkConnectService_ServiceDesc.Methods {
		if m.MethodName == name {
			return name
		}
	}
	for _, s := range connect.SparkConnectService_ServiceDesc.Streams {
		if s.StreamName == name {
			return name
		}
	}
	return other
}

// codeLabel keeps the codes of gRPC apart; an engine could send any number.
func codeLabel(code string) string {
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		if c.String() == code {
			return code
		}
	}
	return other
}
