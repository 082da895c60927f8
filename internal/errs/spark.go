// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"encoding/json"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

// What a Spark Connect server sends with INVALID_HANDLE errors, measured on
// Spark 4.3.0. Spark 4.0.1 sends the state HY000; clients do not look at it.
const (
	sparkDomain  = "org.apache.spark"
	sparkReason  = "org.apache.spark.SparkSQLException"
	sparkClasses = `["org.apache.spark.SparkSQLException","java.sql.SQLException","java.lang.Exception","java.lang.Throwable","java.lang.Object"]`

	handleState    = "08003" // SQLSTATE of errors about sessions
	operationState = "HY000" // and about operations
)

const (
	handleLimit = 64   // wire bytes of a session id inside a message; a UUID has 36
	whyLimit    = 2000 // wire bytes of the reason, so that the SQLSTATE is never cut off
)

// SessionChanged is the answer to every call on a session that ended by no
// wish of its client. It has the shape of Spark's own error, because PySpark
// closes its session on exactly that one and the next getOrCreate() makes a
// new one. why is one or more full sentences for a person: what ended the
// session, and which engine it was.
func SessionChanged(sessionID, why string) error {
	why = cutTo(why, whyLimit)
	return sparkError(SessionWasChanged, sessionID, why+" Please reconnect.", handleState)
}

// SessionClosed is the answer to calls on a session that its client released.
func SessionClosed(sessionID string) error {
	return sparkError(SessionWasClosed, sessionID, "Session was closed.", handleState)
}

// OperationNotFound is the answer to a client that reattaches to an operation
// which no engine ever got. Spark's clients then send the ExecutePlan again, so
// it must never answer an ExecutePlan, nor a client that has had a response.
func OperationNotFound(operationID string) error {
	return sparkError(OperationUnheard, operationID, "Operation not found.", operationState)
}

func sparkError(c *Class, id, why, state string) *Error {
	handle := cutTo(id, handleLimit)
	text := fmt.Sprintf("The handle %s is invalid. %s SQLSTATE: %s", handle, why, state)
	return &Error{class: c, text: text, handle: handle, state: state}
}

// sparkErrorInfo leaves out errorId: PySpark would ask FetchErrorDetails for
// it and show that answer's text instead of ours.
func sparkErrorInfo(e *Error) *errdetails.ErrorInfo {
	params, _ := json.Marshal(map[string]string{"handle": e.handle}) // a map of strings always marshals
	return &errdetails.ErrorInfo{
		Reason: sparkReason,
		Domain: sparkDomain,
		Metadata: map[string]string{
			"errorClass":        e.class.name,
			"sqlState":          e.state,
			"messageParameters": string(params),
			"classes":           sparkClasses,
		},
	}
}
