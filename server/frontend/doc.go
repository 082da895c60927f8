// SPDX-License-Identifier: Apache-2.0

// Package frontend is the Spark Connect door of the gateway. It decides about
// every call: who calls (auth), which session it belongs to (session), which
// engine serves it, and what the client is told when something ends. The bytes
// are carried by server/proxy.
package frontend
