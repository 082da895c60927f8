// SPDX-License-Identifier: Apache-2.0

// Package rest is the HTTP side of the gateway: sessions, engines and
// administration in Kyuubi's JSON shapes, the registration calls of engines,
// health and metrics.
//
// Every route is one row of the table in routes.go and declares who may call
// it; what is not in the table is not served. Authentication comes before
// everything else a call does, and an object of somebody else looks exactly
// like an object that does not exist.
package rest
