// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"encoding/json"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errorShape is what Spark 4.3 says for one error class: measured, message
// for message, because clients decide by these texts. "<name>" in a message
// stands for the message parameter.
type errorShape struct {
	class, state string
	message      string
	types        string // exception type and its parents, outermost first
}

// The Java types of the errors, from the exception to java.lang.Object.
const (
	javaBase      = " java.lang.Exception java.lang.Throwable java.lang.Object"
	sqlException  = "org.apache.spark.SparkSQLException java.sql.SQLException" + javaBase
	analysis      = "org.apache.spark.sql.AnalysisException" + javaBase
	extAnalysis   = "org.apache.spark.sql.catalyst.ExtendedAnalysisException " + analysis
	parse         = "org.apache.spark.sql.catalyst.parser.ParseException " + analysis
	invalidPlan   = "org.apache.spark.sql.connect.common.InvalidPlanInput" + javaBase
	runtime       = "org.apache.spark.SparkRuntimeException java.lang.RuntimeException" + javaBase
	noSuchElement = "org.apache.spark.SparkNoSuchElementException java.util.NoSuchElementException java.lang.RuntimeException" + javaBase
	illegalConf   = "org.apache.spark.SparkIllegalArgumentException java.lang.IllegalArgumentException java.lang.RuntimeException" + javaBase
	illegalArg    = "java.lang.IllegalArgumentException java.lang.RuntimeException" + javaBase
	unsupported   = "java.lang.UnsupportedOperationException java.lang.RuntimeException" + javaBase

	uuidFormat = "00112233-4455-6677-8899-aabbccddeeff"
)

var (
	errSessionNotFound = errorShape{"INVALID_HANDLE.SESSION_NOT_FOUND", "08003", "The handle <handle> is invalid. Session not found.", sqlException}
	errSessionClosed   = errorShape{"INVALID_HANDLE.SESSION_CLOSED", "08003", "The handle <handle> is invalid. Session was closed.", sqlException}
	errSessionChanged  = errorShape{
		"INVALID_HANDLE.SESSION_CHANGED", "08003",
		"The handle <handle> is invalid. The existing Spark server driver instance has restarted. Please reconnect.", sqlException,
	}
	errFormat = errorShape{
		"INVALID_HANDLE.FORMAT", "HY000",
		"The handle <handle> is invalid. Handle must be an UUID string of the format '" + uuidFormat + "'", sqlException,
	}
	errOperationNotFound  = errorShape{"INVALID_HANDLE.OPERATION_NOT_FOUND", "HY000", "The handle <handle> is invalid. Operation not found.", sqlException}
	errOperationExists    = errorShape{"INVALID_HANDLE.OPERATION_ALREADY_EXISTS", "HY000", "The handle <handle> is invalid. Operation already exists.", sqlException}
	errOperationAbandoned = errorShape{
		"INVALID_HANDLE.OPERATION_ABANDONED", "HY000",
		"The handle <handle> is invalid. Operation was considered abandoned because of inactivity and removed.", sqlException,
	}
	errOperationCanceled    = errorShape{"OPERATION_CANCELED", "HY008", "Operation has been canceled.", sqlException}
	errDisconnected         = errorShape{"INVALID_CURSOR.DISCONNECTED", "HY109", "The cursor is invalid. The cursor has been disconnected by the server.", sqlException}
	errNotReattachable      = errorShape{"INVALID_CURSOR.NOT_REATTACHABLE", "HY109", "The cursor is invalid. The cursor is not reattachable.", sqlException}
	errPositionNotFound     = errorShape{"INVALID_CURSOR.POSITION_NOT_FOUND", "HY109", "The cursor is invalid. The cursor position id <responseId> is not found.", sqlException}
	errPositionNotAvailable = errorShape{
		"INVALID_CURSOR.POSITION_NOT_AVAILABLE", "HY109",
		"The cursor is invalid. The cursor position id <responseId> is no longer available at index <index>.", sqlException,
	}
	errInterruptType = errorShape{
		"UNSUPPORTED_FEATURE.INTERRUPT_TYPE", "0A000",
		"The feature is not supported: Unsupported interrupt type: <interruptType>.", sqlException,
	}
	errCloneExists = errorShape{
		"INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_ALREADY_EXISTS", "42K04",
		"Invalid session clone request. Cannot clone session to target session ID <targetSessionId> because a session with this ID already exists.", sqlException,
	}
	errCloneFormat = errorShape{
		"INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_FORMAT", "42K04",
		"Invalid session clone request. Target session ID <targetSessionId> for clone operation must be an UUID string of the format '" + uuidFormat + "'.", sqlException,
	}
	errConfNotFound = errorShape{"SQL_CONF_NOT_FOUND", "42K0I", "The SQL config <sqlConf> cannot be found. Please verify that the config exists.", noSuchElement}
	errCoreConf     = errorShape{
		"CANNOT_MODIFY_CONFIG", "46110",
		"Cannot modify the value of the Spark config: <key>.\nSee also '<docroot>/sql-migration-guide.html#ddl-statements'.", analysis,
	}
	errStaticConf = errorShape{"CANNOT_MODIFY_STATIC_CONFIG", "46110", "Cannot modify the value of the static Spark config: <key>.", analysis}
	errConfType   = errorShape{
		"INVALID_CONF_VALUE.TYPE_MISMATCH", "22022",
		"The value '<confValue>' in the config \"<confName>\" is invalid. It should be a/an '<confType>' value.", illegalConf,
	}
	errArtifactPath = errorShape{
		"INVALID_ARTIFACT_PATH", "22023",
		"Artifact with name <name> is invalid. The name must be a relative path and cannot reference parent/sibling/nephew directories.", runtime,
	}
	errUnknownAnalyze = errorShape{"CONNECT_INVALID_PLAN.UNKNOWN_ANALYZE_METHOD", "56K00", "The Spark Connect plan is invalid. Unknown Analyze Method <other>!", invalidPlan}
	errNotSet         = errorShape{
		"CONNECT_INVALID_PLAN.INVALID_ONE_OF_FIELD_NOT_SET", "56K00",
		"The Spark Connect plan is invalid. This oneOf field in <fullName> is not set: <name>", invalidPlan,
	}
	errUnresolved = errorShape{
		"UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703",
		"A column, variable, or function parameter with name <objectName> cannot be resolved. ", extAnalysis,
	}
	errRaised = errorShape{"USER_RAISED_EXCEPTION", "P0001", "<errorMessage>", runtime}
	errSyntax = errorShape{"PARSE_SYNTAX_ERROR", "42601", "Syntax error at or near <error><hint>.", parse}
	errJava   = errorShape{types: illegalArg, message: "<text>"}  // a plain Java exception has no class
	errUnsupp = errorShape{types: unsupported, message: "<text>"} // the same
)

// sparkError is an error of the fake engine before it goes on the wire.
type sparkError struct {
	shape   errorShape
	params  map[string]string
	message string
	id      string // errorId of FetchErrorDetails; "" outside a session
}

// fail makes an error; params are name, value pairs.
func fail(shape errorShape, params ...string) *sparkError {
	e := &sparkError{shape: shape, params: make(map[string]string)}
	text := shape.message
	for i := 0; i < len(params); i += 2 {
		e.params[params[i]] = params[i+1]
		text = strings.ReplaceAll(text, "<"+params[i]+">", params[i+1])
	}
	e.message = text
	if shape.class != "" {
		e.message = "[" + shape.class + "] " + text + " SQLSTATE: " + shape.state
	}
	return e
}

// with adds what Spark appends to the message, as the place in a query.
func (e *sparkError) with(prefix, suffix string) *sparkError {
	e.message = prefix + e.message + suffix
	return e
}

// Error implements error.
func (e *sparkError) Error() string { return e.message }

// GRPCStatus is the status on the wire: INTERNAL, the message, and an ErrorInfo
// whose copy in grpc-status-details-bin has the same code and message.
func (e *sparkError) GRPCStatus() *status.Status {
	types := strings.Fields(e.shape.types)
	md := map[string]string{"classes": toJSON(types)}
	if e.shape.class != "" {
		md["errorClass"], md["sqlState"] = e.shape.class, e.shape.state
		md["messageParameters"] = toJSON(e.params)
	}
	if e.id != "" {
		md["errorId"] = e.id
	}
	st, err := status.New(codes.Internal, e.message).WithDetails(
		&errdetails.ErrorInfo{Domain: "org.apache.spark", Reason: types[0], Metadata: md})
	if err != nil {
		return status.New(codes.Internal, e.message+" (details lost: "+err.Error()+")")
	}
	return st
}

func toJSON(v any) string {
	b, _ := json.Marshal(v) // maps and lists of strings always marshal
	return string(b)
}

// validUUID accepts what java.util.UUID prints: 36 characters.
func validUUID(s string) bool {
	_, err := uuid.Parse(s)
	return err == nil && len(s) == len(uuidFormat)
}
