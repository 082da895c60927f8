// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Flow control windows towards an engine. They are fixed: what is in flight is
// lost to the engine's retry buffer only up to here (design section 7).
const (
	streamWindow  = 1 << 20
	connWindow    = 16 << 20
	messageMargin = 64 << 10 // what the gateway's own fields may add to a message
)

// dial makes the connection of an engine without connecting yet. Service
// configuration and retries are off: only clients may repeat a call.
func dial(at Endpoint, keys Keys, sparkVersion string, maxMessage int) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if at.TLS != nil {
		transport = credentials.NewTLS(at.TLS)
	}
	conn, err := grpc.NewClient("passthrough:///"+at.Address,
		grpc.WithTransportCredentials(transport),
		grpc.WithContextDialer(at.dial),
		grpc.WithPerRPCCredentials(bearer(keys.RPC)),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessage+messageMargin),
			grpc.MaxCallSendMsgSize(maxMessage+messageMargin)),
		grpc.WithKeepaliveParams(keepaliveFor(sparkVersion)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
	)
	if err != nil {
		return nil, fmt.Errorf("engine connection to %s: %w", at.Address, err)
	}
	return conn, nil
}

// keepaliveFor pings as often as the engine permits: Spark 4.3 takes a ping
// every 10 s, older ones one in 5 minutes and only during calls (facts:
// reliability 1.8). A faster ping costs the connection of every session. A
// connection that went dark is noticed within 24 s; a driver may pause for the
// 13 s of the timeout before its streams have to reattach.
func keepaliveFor(sparkVersion string) keepalive.ClientParameters {
	if atLeast(sparkVersion, 4, 3) {
		return keepalive.ClientParameters{Time: 11 * time.Second, Timeout: 13 * time.Second, PermitWithoutStream: true}
	}
	return keepalive.ClientParameters{Time: 6 * time.Minute, Timeout: 20 * time.Second}
}

// atLeast compares the first two numbers of a version; an unreadable version is
// older than all.
func atLeast(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	gotMajor, err1 := strconv.Atoi(first)
	gotMinor, err2 := strconv.Atoi(second)
	if err1 != nil || err2 != nil {
		return false
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}

// bearer is the token of the Connect port as call credentials.
type bearer string

// GetRequestMetadata returns the authorization header.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false: on its own machine an engine is on loopback.
func (b bearer) RequireTransportSecurity() bool { return false }
