// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
)

// Unauthenticated: the caller is unknown. The text is the same for every
// cause; what is given to New stays in the log.
var Unauthenticated = &Class{
	name: "UNAUTHENTICATED", code: codes.Unauthenticated, http: http.StatusUnauthorized,
	fixedText: "Authentication failed. Check the credentials of this client; the log of the gateway has the cause.",
	cause:     "The call has no credentials, or the gateway does not accept them.",
	user:      "Check the token (`sc://host:15002/;use_ssl=true;token=…`) and that it was not withdrawn.",
	admin:     "The gateway's log names the cause and the peer. The client is told nothing more on purpose.",
}

// AuthUnavailable: whoever knows the caller cannot be asked.
var AuthUnavailable = &Class{
	name: "AUTH_UNAVAILABLE", code: codes.Unavailable, http: http.StatusServiceUnavailable,
	cause: "The directory, the ticket service or the token issuer that decides about these credentials cannot be asked at the moment.",
	user:  "Try again in a minute. Calls with a token that this gateway issued are not affected.",
	admin: "The gateway's log names the service and the fault. Look whether it runs and can be reached from the gateway.",
}

// StoreAway: the records that the gateways share cannot be read or written.
var StoreAway = &Class{
	name: "STORE_UNAVAILABLE", code: codes.Unavailable, http: http.StatusServiceUnavailable,
	cause: "ZooKeeper, where the gateways keep what all of them must know, cannot be reached. Sessions and engines that run go on, and so do tokens.",
	user:  "Try again in a minute. The message says what was not done, or counts at one gateway only so far.",
	admin: "Look whether the servers of `kyuubi.ha.addresses` run, have a majority, and can be reached from the gateway, whose log has the fault.",
}

// TokenExpired: the caller's token was good for a limited time, which is over.
var TokenExpired = &Class{
	name: "TOKEN_EXPIRED", code: codes.Unauthenticated, http: http.StatusUnauthorized,
	cause: "The token is one of this gateway, and its time is over. It was good for some hours, or longer while a session of its was open.",
	user:  "Get a new one as the message says (`gateway login`, or `POST /api/v1/tokens`) and connect again: a client keeps the token with which it connected.",
	admin: "Nothing. `kyuubi.authentication.token.lifetime` and the settings beside it say how long tokens are good.",
}

// PermissionDenied: the caller is known and may not do this.
var PermissionDenied = &Class{
	name: "PERMISSION_DENIED", code: codes.PermissionDenied, http: http.StatusForbidden,
	cause: "The caller is known but may not do this: the object belongs to somebody else, the action needs an administrator, " +
		"the driver would run as the gateway's own user, or the user or the address is on a deny list.",
	user: "The message says which. Use a session of your own, or ask an administrator.",
	admin: "Grant the administrator role if the caller should have it; look at `kyuubi.engine.local.allow.gateway.user` and at the deny lists " +
		"(`kyuubi.server.limit.connections.user.deny.list`, `kyuubi.server.limit.connections.ip.deny.list`).",
}

// InvalidRequest: the request itself is malformed.
var InvalidRequest = &Class{
	name: "INVALID_REQUEST", code: codes.InvalidArgument, http: http.StatusBadRequest,
	cause: "The request cannot be read, or a field of it is missing or malformed.",
	user:  "The message names the field. Check the version of the client; report it if the client is an unmodified one.",
	admin: "Nothing, unless many clients meet it: then something between them and the gateway changes requests.",
}

// OptionNotAllowed: a session option that clients may not set.
var OptionNotAllowed = &Class{
	name: "OPTION_NOT_ALLOWED", code: codes.InvalidArgument, http: http.StatusBadRequest,
	cause: "The client asked for a session option that is not on the list of options which clients may set.",
	user:  "Remove the option from the connection string or the builder; the message names it.",
	admin: "Set the option in the server's configuration or in a profile, or allow it for clients.",
}

// OptionInvalid: an allowed session option with a refused value.
var OptionInvalid = &Class{
	name: "OPTION_INVALID", code: codes.InvalidArgument, http: http.StatusBadRequest,
	cause: "A session option has a value of the wrong form, or one beyond the limits of this gateway.",
	user:  "Correct the value; the message names the option, the value and what is accepted.",
	admin: "Raise the limit if the wish is reasonable.",
}

// EngineStarting: the launch goes on; the client retries by itself.
var EngineStarting = &Class{
	name: "ENGINE_STARTING", code: codes.Unavailable, http: http.StatusServiceUnavailable, retryAfter: time.Second,
	cause: "The engine of this session is still being launched and the call could not wait longer for it.",
	user:  "Nothing: clients retry by themselves and join the same launch.",
	admin: "If launches are always slow, look at the queue of the cluster and the limit of concurrent launches.",
}

// EngineLaunchFailed: the launch ended without an engine.
var EngineLaunchFailed = &Class{
	name: "ENGINE_LAUNCH_FAILED", code: codes.FailedPrecondition, http: http.StatusBadGateway,
	cause: "spark-submit or the driver ended before the engine registered, or could not be started at all.",
	user:  "Read the reason in the message. Correct the options of the session, or hand the engine's reference id to an administrator.",
	admin: "The engine's log has the full output; the message names the engine and its application.",
}

// EngineLaunchTimeout: the launch took longer than the limit.
var EngineLaunchTimeout = &Class{
	name: "ENGINE_LAUNCH_TIMEOUT", code: codes.FailedPrecondition, http: http.StatusGatewayTimeout,
	cause: "The engine did not register within `kyuubi.session.engine.initialize.timeout`.",
	user:  "Try again later; if it happens again, hand the engine's reference id to an administrator.",
	admin: "Look at the engine's log and the state of its application; raise the timeout if the cluster is merely slow.",
}

// EngineUnreachable: the engine lives but the way to it is broken.
var EngineUnreachable = &Class{
	name: "ENGINE_UNREACHABLE", code: codes.Unavailable, http: http.StatusBadGateway,
	cause: "The connection between the gateway and a living engine broke. The session and its queries still exist.",
	user:  "Nothing: clients retry by themselves and reattach to running queries.",
	admin: "If it repeats, look at the network between the gateway and the engine, and at the engine's garbage collection.",
}

// EngineElsewhere: the engine lives where this gateway cannot reach it.
var EngineElsewhere = &Class{
	name: "ENGINE_ELSEWHERE", code: codes.FailedPrecondition, http: http.StatusBadGateway,
	cause: "The engine of the session runs on another machine and offers no relay. The session and its queries still exist.",
	user:  "Connect to a gateway on the engine's machine, or make a new session.",
	admin: "Set `kyuubi.engine.spark.connect.relay` to true; engines that are launched from then on can be reached from all gateways.",
}

// EngineTimeout: the engine did not answer a call that is bounded.
var EngineTimeout = &Class{
	name: "ENGINE_TIMEOUT", code: codes.DeadlineExceeded, http: http.StatusGatewayTimeout,
	cause: "The engine did not answer in time a call that has a time limit. Spark 4.1 never answers an interrupt of an unknown id.",
	user:  "Check the id, or interrupt all.",
	admin: "Look at the log and the garbage collection of the engine that the message names.",
}

// Interrupted: the client interrupted a call that waited for its engine.
var Interrupted = &Class{
	name: "INTERRUPTED", code: codes.Canceled, http: http.StatusConflict,
	cause: "The client interrupted a call while its engine was still being launched.",
	user:  "Nothing. A new call joins the launch that is under way.",
	admin: "Nothing.",
}

// LimitExceeded: a limit on sessions, engines, streams or bytes.
var LimitExceeded = &Class{
	name: "LIMIT_EXCEEDED", code: codes.ResourceExhausted, http: http.StatusTooManyRequests,
	cause: "A limit per user or of the gateway is reached: sessions, engines, launches, streams or bytes; or too many logins failed.",
	user:  "End what is no longer needed; the message names the limit and what counts into it. After failed logins correct the credentials, and wait as long as the message says.",
	admin: "Raise the limit if the machine or the cluster has room.",
}

// ShuttingDown: this gateway process is draining.
var ShuttingDown = &Class{
	name: "SHUTTING_DOWN", code: codes.Unavailable, http: http.StatusServiceUnavailable, retryAfter: time.Second,
	cause: "This gateway process is ending and takes no new work. Engines and sessions outlive it.",
	user:  "Nothing: clients retry by themselves.",
	admin: "Nothing during a restart; else look who stopped the gateway.",
}

// UnsupportedMethod: a path that the gateway does not serve.
var UnsupportedMethod = &Class{
	name: "UNSUPPORTED_METHOD", code: codes.Unimplemented, http: http.StatusNotImplemented,
	cause: "The gateway or the engine does not serve this method.",
	user:  "Use a client whose version suits the engine's; the message names the method.",
	admin: "Offer an engine of a newer Spark version if clients need the method.",
}

// NotFound: the object does not exist, or is not the caller's.
var NotFound = &Class{
	name: "NOT_FOUND", code: codes.NotFound, http: http.StatusNotFound,
	cause: "No such object, or it belongs to another user.",
	user:  "Check the id; list your own objects.",
	admin: "Nothing.",
}

// Conflict: the object is in a state that does not allow the action.
var Conflict = &Class{
	name: "CONFLICT", code: codes.Aborted, http: http.StatusConflict,
	cause: "The object exists already, or its state does not allow the action now.",
	user:  "Look at the present state and try again.",
	admin: "Nothing.",
}

// NoEngineYet: a question to a session without an engine that is not worth a
// launch, and that the client can do without.
var NoEngineYet = &Class{
	name: "NO_ENGINE_YET", code: codes.FailedPrecondition, http: http.StatusConflict,
	cause: "The session has done nothing so far, so it has no engine, and this question does not launch one.",
	user:  "Nothing: PySpark goes on by itself. An interrupt has nothing to interrupt yet.",
	admin: "Nothing.",
}

// PythonMissing: no Python of the client's version for the engine.
var PythonMissing = &Class{
	name: "PYTHON_MISSING", code: codes.FailedPrecondition, http: http.StatusFailedDependency, warning: true,
	cause: "The engine has no Python of the client's minor version, so Python functions could not run.",
	user:  "Use one of the Python versions that the message lists, or work without Python functions.",
	admin: "Install the version and name it in `kyuubi.engine.spark.python.<minor>`.",
}

// SharedIdentity: the engine is not that of the user of the session alone. It is a
// warning, no error.
var SharedIdentity = &Class{
	name: "SHARED_IDENTITY", code: codes.FailedPrecondition, http: http.StatusFailedDependency, warning: true,
	cause: "The engine is that of several users or in the name of the gateway's user, because the administrator chose so: what its users run there can see each other's data. There is no impersonation yet, so all drivers run as the gateway's user, those of one user too.",
	user:  "Nothing, unless your data must stay apart: then ask for the share level `USER` (`kyuubi.engine.share.level`).",
	admin: "Keep `kyuubi.engine.share.level` at `USER` and `kyuubi.engine.doAs.enabled` at `true` where users must be kept apart; that drivers run as the gateway's user cannot be changed yet.",
}

// OutOfResources: the gateway's machine is short of something.
var OutOfResources = &Class{
	name: "OUT_OF_RESOURCES", code: codes.ResourceExhausted, http: http.StatusInsufficientStorage,
	cause: "The gateway's machine is short of disk space, file descriptors or memory. What runs already goes on.",
	user:  "Tell an administrator, and try again when the shortage is over.",
	admin: "The message names what is short. The gateway recovers by itself.",
}

// Internal: a fault of the gateway itself.
var Internal = &Class{
	name: "INTERNAL", code: codes.Internal, http: http.StatusInternalServerError,
	cause: "A fault of the gateway itself.",
	user:  "Try again; if it happens again, tell an administrator when it happened.",
	admin: "The log has the cause at the time of the call. Please report it.",
}

// SessionWasChanged is Spark's own INVALID_HANDLE.SESSION_CHANGED, made by
// SessionChanged only.
var SessionWasChanged = &Class{
	name: "INVALID_HANDLE.SESSION_CHANGED", spark: true, code: codes.Internal, http: http.StatusGone,
	cause: "The session ended by no wish of the client: its engine died or was stopped, it was idle for too long, or an administrator ended it.",
	user:  "Call `SparkSession.builder.getOrCreate()` again: it makes a new session. Temporary views, cached data and settings of the old one are gone.",
	admin: "The message says why, for a day after the end. After the death of an engine its log has the details.",
}

// SessionWasClosed is Spark's own INVALID_HANDLE.SESSION_CLOSED, made by
// SessionClosed only.
var SessionWasClosed = &Class{
	name: "INVALID_HANDLE.SESSION_CLOSED", spark: true, code: codes.Internal, http: http.StatusGone,
	cause: "The client itself ended this session (`spark.stop()`) and went on using its id.",
	user:  "Make a new session.",
	admin: "Nothing.",
}

// OperationUnheard is Spark's own INVALID_HANDLE.OPERATION_NOT_FOUND, made by
// OperationNotFound only.
var OperationUnheard = &Class{
	name: "INVALID_HANDLE.OPERATION_NOT_FOUND", spark: true, code: codes.Internal, http: http.StatusGone,
	cause: "The client asked for the results of a query that the gateway never got: the gateway ended just when the query was sent.",
	user:  "Nothing: Spark's clients send the query again by themselves.",
	admin: "Nothing.",
}

// Classes lists every class in the order of docs/errors.md.
func Classes() []*Class {
	return []*Class{
		Unauthenticated, TokenExpired, AuthUnavailable, PermissionDenied,
		InvalidRequest, OptionNotAllowed, OptionInvalid, PythonMissing, SharedIdentity,
		EngineStarting, EngineLaunchFailed, EngineLaunchTimeout, EngineUnreachable, EngineElsewhere, EngineTimeout, Interrupted,
		LimitExceeded, ShuttingDown, StoreAway, NoEngineYet, UnsupportedMethod, NotFound, Conflict, OutOfResources, Internal,
		SessionWasChanged, SessionWasClosed, OperationUnheard,
	}
}
