// SPDX-License-Identifier: Apache-2.0

// Package proxy forwards Spark Connect calls between a client and an engine.
//
// It is pure mechanism: it knows no users, sessions or engines. A [Director]
// decides about each call (who may call, which connection, which identity is
// stamped on the messages) and the proxy carries the bytes: engine to client
// messages are passed on by reference, never parsed; client to engine messages
// are scanned on their top level only. The transport is grpc-go; whatever
// replaces it serves the same Director.
package proxy
