// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"roundhouse/integration-tests/env"
	pb "roundhouse/proto/gen/spark/connect"
)

const aliceToken = "0123456789abcdef-of-alice"

// startTLS starts a gateway that wants TLS and a token, and returns the
// connection string of alice and the file of the CA.
func startTLS(t *testing.T, conf map[string]string) (remote, ca string) {
	t.Helper()
	ca, key := env.Certificate(t)
	maps.Copy(conf, env.Tokens(t, aliceToken+" alice admin"))
	g := env.Prepare(t, env.With(conf,
		"kyuubi.frontend.spark.connect.ssl.enabled", "true",
		"kyuubi.frontend.spark.connect.ssl.certificate.path", ca,
		"kyuubi.frontend.spark.connect.ssl.key.path", key))
	g.Token = aliceToken
	g.StartUntilCleanup()
	return g.Remote("use_ssl=true", "token="+aliceToken), ca
}

// TestNobodyGetsInWithoutTheToken: every RPC, known or not, and REST.
func TestNobodyGetsInWithoutTheToken(t *testing.T) {
	remote, ca := startTLS(t, env.FakeSpark(t))
	address, _, _ := strings.Cut(strings.TrimPrefix(remote, "sc://"), "/")
	roots := x509.NewCertPool()
	certificate, err := os.ReadFile(ca)
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(certificate))
	secure := credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	for name, md := range map[string]metadata.MD{
		"no token":         nil,
		"wrong token":      metadata.Pairs("authorization", "Bearer wrong-token-wrong-token"),
		"two tokens":       metadata.Pairs("authorization", "Bearer "+aliceToken, "authorization", "Bearer other-token-other-token"),
		"other scheme":     metadata.Pairs("authorization", "Basic YWxpY2U6"),
		"conflicting ways": metadata.Pairs("authorization", "Bearer "+aliceToken, "authentication", "Bearer other-token-other-token"),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(secure))
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			ctx := metadata.NewOutgoingContext(t.Context(), md)
			for _, method := range []string{"Config", "ReleaseSession", "NoSuchMethod"} {
				err := conn.Invoke(ctx, "/spark.connect.SparkConnectService/"+method, &pb.ConfigRequest{SessionId: uuid.NewString()}, &pb.ConfigResponse{})
				require.Equal(t, codes.Unauthenticated, status.Code(err), method)
			}
		})
	}
	t.Run("plaintext", func(t *testing.T) {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = pb.NewSparkConnectServiceClient(conn).Config(t.Context(), &pb.ConfigRequest{SessionId: uuid.NewString()})
		require.Equal(t, codes.InvalidArgument, status.Code(err))
		require.ErrorContains(t, err, ";use_ssl=true")
	})
}
