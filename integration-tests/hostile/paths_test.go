// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "roundhouse/proto/gen/spark/connect"
)

// The statuses that these tests may see, as numbers on the wire.
const (
	wireOK              = "0"
	wireUnimplemented   = "12"
	wireUnauthenticated = "16"
)

// paths are ways to write the path of a call so that a check could miss it.
func paths() []string {
	const service = "/spark.connect.SparkConnectService"
	all := []string{
		"", "/", "//", "*", service, service + "/", service + "//AnalyzePlan", "/" + service + "/AnalyzePlan", service + "/AnalyzePlan/",
		service + "/./AnalyzePlan", service + "/../AnalyzePlan", service + "/AnalyzePlan?x=y", service + "/AnalyzePlan#x", service + "/AnalyzePlan;x",
		"/x/.." + service + "/AnalyzePlan", "/x/../" + service[1:] + "/AnalyzePlan", "http://gateway" + service + "/AnalyzePlan",
		"/spark%2econnect.SparkConnectService/AnalyzePlan", service + "%2fAnalyzePlan", service + "/Analyze%50lan", "%2f" + service[1:] + "/AnalyzePlan",
		"/SPARK.CONNECT.SPARKCONNECTSERVICE/AnalyzePlan", service + "/analyzeplan", service + "/ANALYZEPLAN", service + "/AnalyzePlan ", " " + service + "/AnalyzePlan",
		service + "/AnalyzePlan%00", service + "\\AnalyzePlan", "/spark.connect.SparkConnectService.AnalyzePlan", "/SparkConnectService/AnalyzePlan",
		"/spark.connect.SparkConnectService2/AnalyzePlan", service + "/NoSuchMethod", service + "/a/b/c",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
		"/grpc.channelz.v1.Channelz/GetServers", "/grpc.testing.TestService/EmptyCall", "/grpc.health.v1.Health/NoSuchMethod",
		"/" + strings.Repeat("a", 8000) + "/b",
	}
	for _, to := range targets() {
		path := service + "/" + to.method
		all = append(all, path, path[1:], strings.ToUpper(path))
	}
	return all
}

// TestPathsWithoutCredentials: whatever the path, nobody gets in without
// credentials, and nothing is passed on.
func TestPathsWithoutCredentials(t *testing.T) {
	h := start(t, nil)
	alice := h.person("alice", aliceToken)
	session := alice.open()
	before := len(h.arrivals())
	request := analyze(t, session)
	for _, path := range paths() {
		for name, more := range map[string][]string{"nobody": nil, "a wrong token": {"authorization", "Bearer " + uuid.NewString()}} {
			got := dialFrames(t, h.GRPC).call(append(head(path), pairs(more...)...), request)
			require.NotEqual(t, wireOK, got.code, "%s at %q: %+v", name, path, got)
			require.True(t, got.reset || got.code == "" && got.http != "200" || got.code == wireUnauthenticated || got.code == wireUnimplemented, "%s at %q: %+v", name, path, got)
			require.NotContains(t, got.message, session)
		}
	}
	require.Len(t, h.arrivals(), before, "nothing was passed on")
	require.Len(t, h.Engines(), 1, "nothing was launched")

	// The same client gets in with a token: it is the token that was missing.
	got := dialFrames(t, h.GRPC).call(append(head("/spark.connect.SparkConnectService/AnalyzePlan"), pairs("authorization", "Bearer "+aliceToken)...), request)
	require.Equal(t, wireOK, got.code, got.message)
	require.Len(t, h.arrivals(), before+1)
}

// TestPathsWithCredentials: the caller's token opens the Connect service and
// nothing else.
func TestPathsWithCredentials(t *testing.T) {
	h := start(t, nil)
	session := h.person("alice", aliceToken).open()
	known := map[string]bool{}
	for _, to := range targets() {
		known["/spark.connect.SparkConnectService/"+to.method] = true
	}
	count := 0
	for _, path := range paths() {
		if known[path] {
			continue
		}
		count++
		got := dialFrames(t, h.GRPC).call(append(head(path), pairs("authorization", "Bearer "+aliceToken, "x-request-id", fmt.Sprint(count))...), analyze(t, session))
		require.NotEqual(t, wireOK, got.code, "%q: %+v", path, got)
	}
	for _, a := range h.arrivals() {
		checkByGo(t, a)
		require.NotContains(t, a.Method, "/")
	}
	require.Len(t, h.Engines(), 1, "no method that is not declared launches")
}

func analyze(t *testing.T, session string) []byte {
	t.Helper()
	return encode(t, &pb.AnalyzePlanRequest{
		SessionId: session, UserContext: &pb.UserContext{UserId: "alice"},
		Analyze: &pb.AnalyzePlanRequest_SparkVersion_{SparkVersion: &pb.AnalyzePlanRequest_SparkVersion{}},
	})
}
