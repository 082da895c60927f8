// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"roundhouse/internal/tlsx"
)

// TestPlainCallIsRefusedWithAReason, which a client of gRPC reads as the answer
// to its call.
func TestPlainCallIsRefusedWithAReason(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	over := make(chan struct{})
	go func() { // waited for below; ends with the listener
		defer close(over)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p := &tlsx.Peeked{Conn: c}
			if speaks, _ := p.SpeaksTLS(); !speaks {
				answerPlain(p)
			}
			_ = c.Close()
		}
	}()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	started := time.Now()
	err = conn.Invoke(t.Context(), "/spark.connect.SparkConnectService/Config", &emptypb.Empty{}, &emptypb.Empty{})
	require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
	require.ErrorContains(t, err, plainAdvice)
	require.Less(t, time.Since(started), 5*time.Second)
	require.NoError(t, conn.Close())
	require.NoError(t, l.Close())
	<-over
}

// TestRefusalFitsItsLengths: a length of HPACK is one byte up to 126.
func TestRefusalFitsItsLengths(t *testing.T) {
	require.Less(t, len("[GATEWAY.INVALID_REQUEST] "+plainAdvice), 127)
}
