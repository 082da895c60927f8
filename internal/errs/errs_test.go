// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var update = flag.Bool("update", false, "rewrite docs/errors.md")

func TestClassesAreComplete(t *testing.T) {
	source, err := os.ReadFile("classes.go")
	require.NoError(t, err)
	require.Len(t, Classes(), strings.Count(string(source), "= &Class{"), "a class is missing from Classes()")

	seen := map[string]bool{}
	for _, c := range Classes() {
		require.False(t, seen[c.Name()], "%s is listed twice", c.Name())
		seen[c.Name()] = true
		require.Regexp(t, regexp.MustCompile(`^[A-Z_.]+$`), c.Name())
		require.NotEqual(t, codes.OK, c.Code(), c.Name())
		require.GreaterOrEqual(t, c.HTTPStatus(), 400, c.Name())
		for _, text := range []string{c.Cause(), c.UserAction(), c.AdminAction()} {
			require.True(t, strings.HasSuffix(text, "."), "%s: %q is not a sentence", c.Name(), text)
		}
	}
}

func TestDocsAreFresh(t *testing.T) {
	const path = "../../docs/errors.md"
	var want bytes.Buffer
	require.NoError(t, WriteDocs(&want))
	if *update {
		require.NoError(t, os.WriteFile(path, want.Bytes(), 0o644))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(have), "run: go test ./internal/errs -update")
}

func TestStatusOfOwnErrors(t *testing.T) {
	cause := errors.New("secret path /x")
	err := fmt.Errorf("outer: %w", Wrap(EngineStarting, cause, "engine %s is starting", "e1"))

	s := Status(err)
	require.Equal(t, codes.Unavailable, s.Code())
	require.Equal(t, "[GATEWAY.ENGINE_STARTING] engine e1 is starting", s.Message())
	require.Len(t, s.Details(), 2)
	require.Equal(t, "GATEWAY.ENGINE_STARTING", s.Details()[0].(*errdetails.RequestInfo).ServingData, "an ErrorInfo would make PySpark call again")
	require.Equal(t, time.Second, s.Details()[1].(*errdetails.RetryInfo).RetryDelay.AsDuration())

	require.ErrorIs(t, err, cause)
	require.ErrorContains(t, err, "secret path", "the log keeps the cause")
	require.True(t, Is(err, EngineStarting))
	require.False(t, Is(err, EngineUnreachable))
	require.Same(t, EngineStarting, ClassOf(err))
}

func TestWhichClassesHaveRetryInfo(t *testing.T) {
	for _, c := range Classes() {
		require.Equal(t, c == EngineStarting || c == ShuttingDown, c.RetryAfter() > 0, c.Name())
	}
}

func TestUnauthenticatedTellsNothing(t *testing.T) {
	unknown := New(Unauthenticated, "token of mallory")
	wrapped := Wrap(Unauthenticated, fs.ErrNotExist, "token file")
	for _, err := range []*Error{unknown, wrapped} {
		_, body := HTTP(err)
		require.Equal(t, Unauthenticated.fixedText, err.Text())
		require.Equal(t, body.Message, Status(err).Message())
		require.NotContains(t, body.Message, "token of mallory")
	}
	require.ErrorContains(t, unknown, "token of mallory")
	require.ErrorIs(t, wrapped, fs.ErrNotExist)
}

func TestStatusOfForeignErrors(t *testing.T) {
	engine := status.Error(codes.Internal, "[INVALID_CURSOR.DISCONNECTED] x")
	for name, tc := range map[string]struct {
		err  error
		code codes.Code
		text string
		http int
	}{
		"nil":      {nil, codes.OK, "", http.StatusOK},
		"engine":   {fmt.Errorf("x: %w", engine), codes.Internal, "[INVALID_CURSOR.DISCONNECTED] x", http.StatusBadGateway},
		"canceled": {fmt.Errorf("x: %w", context.Canceled), codes.Canceled, "x: context canceled", statusClientClosed},
		"deadline": {context.DeadlineExceeded, codes.DeadlineExceeded, "context deadline exceeded", http.StatusGatewayTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			s := Status(tc.err)
			require.Equal(t, tc.code, s.Code())
			require.Equal(t, tc.text, s.Message())
			code, body := HTTP(tc.err)
			require.Equal(t, tc.http, code)
			require.Equal(t, Body{Message: tc.text}, body)
			require.Nil(t, ClassOf(tc.err))
		})
	}
}

func TestUnknownErrorsRevealNothing(t *testing.T) {
	err := errors.New("open /etc/gateway/secret: no such file")
	require.Equal(t, "[GATEWAY.INTERNAL] "+internalText, Status(err).Message())
	code, body := HTTP(err)
	require.Equal(t, http.StatusInternalServerError, code)
	require.Equal(t, Body{Message: "[GATEWAY.INTERNAL] " + internalText, ErrorClass: "GATEWAY.INTERNAL"}, body)
	require.Same(t, Internal, ClassOf(err))
}

func TestSessionErrorsHaveSparksShape(t *testing.T) {
	const sid = "8c397138-f1bc-4db4-be89-7b015de9add2"
	for name, tc := range map[string]struct {
		err     error
		message string
	}{
		"changed": {
			SessionChanged(sid, "Engine e1 died (exit code 137)."),
			"[INVALID_HANDLE.SESSION_CHANGED] The handle " + sid + " is invalid. Engine e1 died (exit code 137). Please reconnect. SQLSTATE: 08003",
		},
		"closed": {
			SessionClosed(sid),
			"[INVALID_HANDLE.SESSION_CLOSED] The handle " + sid + " is invalid. Session was closed. SQLSTATE: 08003",
		},
		"operation": {
			OperationNotFound(sid),
			"[INVALID_HANDLE.OPERATION_NOT_FOUND] The handle " + sid + " is invalid. Operation not found. SQLSTATE: HY000",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := Status(tc.err)
			require.Equal(t, codes.Internal, s.Code())
			require.Equal(t, tc.message, s.Message())
			require.Len(t, s.Details(), 1)
			info := s.Details()[0].(*errdetails.ErrorInfo)
			require.Equal(t, "org.apache.spark", info.Domain)
			require.Equal(t, "org.apache.spark.SparkSQLException", info.Reason)
			require.JSONEq(t, `{"handle":"`+sid+`"}`, info.Metadata["messageParameters"])
			require.Contains(t, tc.message, info.Metadata["errorClass"])
			require.Contains(t, tc.message, "SQLSTATE: "+info.Metadata["sqlState"])
			require.NotContains(t, info.Metadata, "errorId")
			code, _ := HTTP(tc.err)
			require.Equal(t, http.StatusGone, code)
		})
	}
	require.True(t, Is(SessionChanged(sid, ""), SessionWasChanged))
	require.True(t, InSparksShape(fmt.Errorf("wrapped: %w", SessionClosed(sid))))
	require.False(t, InSparksShape(New(Internal, "a fault")))
}

// Trailers of more than 8 KiB reach PySpark as RESOURCE_EXHAUSTED instead of
// the error that they carry.
func TestLongAndBrokenTextFitsIntoTrailers(t *testing.T) {
	for _, junk := range []string{strings.Repeat("x", 1<<20), strings.Repeat("é\n", 1<<19), strings.Repeat("\xff%", 1<<19)} {
		for _, err := range []error{New(EngineLaunchFailed, "%s", junk), SessionChanged(junk, junk)} {
			s := Status(err)
			require.LessOrEqual(t, trailerSize(t, s), 8<<10-512)
			require.NotEmpty(t, s.Details(), "details lost")
		}
	}
	require.True(t, strings.HasSuffix(Status(SessionChanged("s", strings.Repeat("x", 1<<20))).Message(),
		cutMark+" Please reconnect. SQLSTATE: 08003"))
}

func trailerSize(t *testing.T, s *status.Status) int {
	t.Helper()
	message := 0
	for _, r := range s.Message() {
		message += wireSize(r)
	}
	details := 0
	for _, d := range s.Proto().Details {
		details += len(d.Value) + len(d.TypeUrl) + 16
	}
	return message + (len(s.Message())+details)*4/3
}
