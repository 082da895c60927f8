// SPDX-License-Identifier: Apache-2.0

// Package errs is the one vocabulary of errors that clients of the gateway
// see. A Class alone decides the gRPC code, the HTTP status and whether a
// client may retry; docs/errors.md is generated from the table of classes.
//
// A message has two readers. The text given to New and Wrap is public: it is
// sent to the client, so it names what happened, to which session, engine or
// application, and what to do next, and never a secret. A wrapped cause is for
// the log only. Convert an error with Status or HTTP at the edge of the
// gateway: status.FromError of grpc-go would publish the causes too.
package errs

import (
	"time"

	"google.golang.org/grpc/codes"
)

// Class is one kind of error. Classes are immutable and compared by identity.
type Class struct {
	name       string
	code       codes.Code
	http       int
	retryAfter time.Duration
	spark      bool // an error of Spark itself, not in our name space
	warning    bool // never the error of a call
	fixedText  string
	cause      string
	user       string
	admin      string
}

// Name is the class without its prefix, such as ENGINE_LAUNCH_FAILED. It is fit
// for a metric label.
func (c *Class) Name() string { return c.name }

// Code is the gRPC status code of the class.
func (c *Class) Code() codes.Code { return c.code }

// HTTPStatus is the status of a REST answer.
func (c *Class) HTTPStatus() int { return c.http }

// RetryAfter is what RetryInfo tells the client; 0 means that no RetryInfo is
// sent. PySpark 4.1+ and the JVM client 4.3+ retry every code that has one.
func (c *Class) RetryAfter() time.Duration { return c.retryAfter }

// Cause says in general why errors of this class happen.
func (c *Class) Cause() string { return c.cause }

// UserAction is what the user does about it.
func (c *Class) UserAction() string { return c.user }

// AdminAction is what the administrator of the gateway does about it.
func (c *Class) AdminAction() string { return c.admin }

// reason is the class as the client reads it.
func (c *Class) reason() string {
	if c.spark {
		return c.name
	}
	return "GATEWAY." + c.name
}
