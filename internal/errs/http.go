// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"
)

// Body is the JSON body of a failed REST call. Message is the field of
// Kyuubi's own REST errors.
type Body struct {
	Message string `json:"message"`
	// ErrorClass is the class as in the message, such as GATEWAY.NOT_FOUND.
	ErrorClass string `json:"errorClass,omitempty"`
}

// HTTP is the status and body to answer a REST call with. The rules are those
// of Status.
func HTTP(err error) (int, Body) {
	if e, ok := find(err); ok {
		return e.class.http, Body{Message: e.Message(), ErrorClass: e.class.reason()}
	}
	s, foreign := foreignStatus(err)
	if !foreign {
		return HTTP(New(Internal, internalText))
	}
	return httpOf(s.Code()), Body{Message: s.Message()}
}

// statusClientClosed is what logs show of a caller that went away.
const statusClientClosed = 499

func httpOf(c codes.Code) int {
	switch c {
	case codes.OK:
		return http.StatusOK
	case codes.Canceled:
		return statusClientClosed
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	default:
		return http.StatusBadGateway
	}
}

func find(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}
