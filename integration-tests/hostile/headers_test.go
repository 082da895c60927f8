// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2/hpack"
)

// allowed are the headers that an engine may see: gRPC's own, the engine's
// token, and the trace and request ids that the gateway passes on.
var allowed = []string{
	":authority", "content-type", "user-agent", "grpc-accept-encoding", "authorization", "traceparent", "tracestate", "x-request-id",
}

// smuggled are header sets of a caller with a valid token. Those that are true
// may get in.
func smuggled() map[string]struct {
	header []hpack.HeaderField
	in     bool
} {
	type set = struct {
		header []hpack.HeaderField
		in     bool
	}
	const own, other = "Bearer " + aliceToken, "Bearer " + bobToken
	many := pairs("authorization", own)
	for i := range 1000 {
		many = append(many, hpack.HeaderField{Name: fmt.Sprintf("x-h%d", i), Value: "v"})
	}
	return map[string]set{
		"plain":                      {pairs("authorization", own), true},
		"old name":                   {pairs("authentication", own), true},
		"both equal":                 {pairs("authorization", own, "authentication", own), true},
		"both differ":                {pairs("authorization", own, "authentication", other), false},
		"both differ, reversed":      {pairs("authentication", other, "authorization", own), false},
		"two tokens":                 {pairs("authorization", own, "authorization", other), false},
		"the same twice":             {pairs("authorization", own, "authorization", own), false},
		"joined by a comma":          {pairs("authorization", own+", "+other), false},
		"basic":                      {pairs("authorization", "Basic YWxpY2U6"), false},
		"engine's scheme":            {pairs("authorization", "Roundhouse-MAC "+aliceToken), false},
		"upper-case name":            {pairs("Authorization", own), false},
		"with a newline":             {pairs("authorization", own+"\r\nx-evil: 1"), false},
		"with NUL":                   {pairs("authorization", own+"\x00"), false},
		"binary header as token":     {pairs("authorization-bin", own), false},
		"proxy authorization":        {pairs("proxy-authorization", own), false},
		"cookie":                     {pairs("cookie", "authorization="+own), false},
		"grpc internals":             {pairs("authorization", own, "grpc-internal-encoding-request", "x", "grpc-internal-x", "y", "grpc-previous-rpc-attempts", "3"), true},
		"grpc tags":                  {pairs("authorization", own, "grpc-tags-bin", "AAAA", "grpc-trace-bin", "AAAA", "grpc-server-stats-bin", "AAAA"), true},
		"forwarded":                  {pairs("authorization", own, "x-forwarded-for", "10.0.0.1", "x-forwarded-user", "bob", "forwarded", "for=bob", "x-real-ip", "1.2.3.4"), true},
		"reserved":                   {pairs("authorization", own, "x-kyuubi-user", "bob", "x-roundhouse-user", "bob", "x-roundhouse-ref-id", "x"), true},
		"engine token by other name": {pairs("authorization", own, "spark-connect-authenticate-token", "x", "x-spark-token", "y"), true},
		"a thousand":                 {many, true},
		"binary junk":                {pairs("authorization", own, "x-junk", "\xfe\xff", "junk-bin", "AAAA"), true},
		"junk with NUL":              {pairs("authorization", own, "junk-bin", "\x00\xff"), false},
		"junk that is no base64":     {pairs("authorization", own, "junk-bin", "!!"), false},
		"long values":                {pairs("authorization", own, "x-long", strings.Repeat("a", 20000), "x-request-id", "r1"), true},
		"too long":                   {pairs("authorization", own, "x-long", strings.Repeat("a", 100000)), false},
		"request ids twice":          {pairs("authorization", own, "x-request-id", "r1", "x-request-id", "r2", "traceparent", "t"), true},
		"connection":                 {pairs("authorization", own, "connection", "authorization"), false},
		"transfer-encoding":          {pairs("authorization", own, "transfer-encoding", "chunked"), true},
		"pseudo after":               {pairs("authorization", own, ":path", "/x/y"), false},
		"second path":                {append(pairs(":path", "/grpc.health.v1.Health/Check"), pairs("authorization", own)...), false},
		"host":                       {pairs("authorization", own, "host", "engine"), true},
		"status":                     {pairs("authorization", own, "grpc-status", "0", "grpc-message", "x", "grpc-encoding", "identity"), true},
		"timeout":                    {pairs("authorization", own, "grpc-timeout", "50S"), true},
		"bad timeout":                {pairs("authorization", own, "grpc-timeout", "-1S"), false},
	}
}

// TestSmuggledHeaders: an engine sees the allow-list and exactly one token, its
// own, whatever the client sends.
func TestSmuggledHeaders(t *testing.T) {
	h := start(t, nil)
	session := h.person("alice", aliceToken).open()
	sets := smuggled()
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		set, before := sets[name], len(h.arrivals())
		got := dialFrames(t, h.GRPC).call(append(head("/spark.connect.SparkConnectService/AnalyzePlan"), set.header...), analyze(t, session))
		if set.in {
			require.Equal(t, wireOK, got.code, "%s: %+v", name, got)
			require.Len(t, h.arrivals(), before+1, name)
			continue
		}
		require.NotEqual(t, wireOK, got.code, "%s: %+v", name, got)
		require.Len(t, h.arrivals(), before, name)
	}
	var token []string
	for _, a := range h.arrivals() {
		checkByGo(t, a)
		for name, values := range a.Header {
			require.Contains(t, allowed, name, "%v", a.Header)
			require.Len(t, values, 1, name)
			require.NotContains(t, values[0], aliceToken)
			require.NotContains(t, values[0], bobToken)
		}
		token = append(token, a.Header["authorization"]...)
	}
	require.Len(t, slices.Compact(token), 1, "one engine, one token")
	require.Len(t, token, len(h.arrivals()))
	require.Regexp(t, `^Bearer [0-9a-f]{64}$`, token[0])
}
