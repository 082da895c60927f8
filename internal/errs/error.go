// SPDX-License-Identifier: Apache-2.0

package errs

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is an error of a known class.
type Error struct {
	class *Class
	text  string
	cause error

	handle, state string // id and SQLSTATE of the Spark shapes
}

// New makes an error of class c. The formatted text is public, except for a
// class with a constant text (Unauthenticated): there it becomes the cause.
func New(c *Class, format string, args ...any) *Error {
	return Wrap(c, nil, format, args...)
}

// Wrap is New with a cause for the log. The cause is never sent to the client,
// and errors.Is and errors.As find it.
func Wrap(c *Class, cause error, format string, args ...any) *Error {
	text := fmt.Sprintf(format, args...)
	if c.fixedText == "" {
		return &Error{class: c, text: text, cause: cause}
	}
	if cause != nil {
		cause = fmt.Errorf("%s: %w", text, cause)
	} else {
		cause = errors.New(text)
	}
	return &Error{class: c, text: c.fixedText, cause: cause}
}

// Error is the text for the log: the public message and the cause.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Message()
	}
	return e.Message() + ": " + e.cause.Error()
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Class returns the class of the error.
func (e *Error) Class() *Class { return e.class }

// Text is the public text without the class.
func (e *Error) Text() string { return e.text }

// Message is what the client reads: "[GATEWAY.<NAME>] <text>", cut so that it
// fits into response trailers.
func (e *Error) Message() string {
	return cutTo("["+e.class.reason()+"] "+e.text, wireLimit)
}

// Is reports whether err is or wraps an error of class c.
func Is(err error, c *Class) bool {
	var e *Error
	return errors.As(err, &e) && e.class == c
}

// InSparksShape reports whether err is or wraps an error that Spark itself could
// have sent. It is an answer and no fault.
func InSparksShape(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.class.spark
}

// ClassOf returns the class of err: its own, or Internal for any other error.
// It is nil for nil and for errors that Status passes on unchanged.
func ClassOf(err error) *Class {
	var e *Error
	if errors.As(err, &e) {
		return e.class
	}
	if _, foreign := foreignStatus(err); foreign {
		return nil
	}
	return Internal
}

// foreignStatus is the status of an error that is not ours to explain: none, a
// status of an engine or of grpc-go, or the end of the call's context.
func foreignStatus(err error) (*status.Status, bool) {
	if err == nil {
		return status.New(codes.OK, ""), true
	}
	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		return carrier.GRPCStatus(), true
	}
	if s := status.FromContextError(err); s.Code() != codes.Unknown {
		return s, true
	}
	return nil, false
}
