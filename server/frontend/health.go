// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// health serves Check of grpc.health.v1.Health, for balancers, without
// credentials. It never reads the request: that of a stranger may have any size.
// So every name of a service gets the answer for the whole gateway.
type health struct{ draining atomic.Bool }

func (h *health) register(s *grpc.Server) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: healthpb.Health_ServiceDesc.ServiceName,
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: h.check}},
	}, nil)
}

func (h *health) check(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
	if h.draining.Load() {
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}
