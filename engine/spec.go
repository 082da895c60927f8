// Package engine launches, finds, watches and ends engines: Spark drivers with
// the Roundhouse plugin. See DESIGN.md for the life of an engine, its files and
// the protocol with the plugin.
package engine

import "strings"

// TypeSparkConnect is the engine type in paths and application names
// (kyuubi.engine.type has no such value; ours must not meet Thrift engines).
const TypeSparkConnect = "SPARK_CONNECT"

// ProtocolVersion is the version of the gateway-engine protocol. It stands in
// the discovery path in place of Kyuubi's build version, so that engines
// survive a gateway upgrade that keeps the protocol.
const ProtocolVersion = "1"

// ShareLevel says who shares an engine (kyuubi.engine.share.level).
type ShareLevel string

// The share levels. SERVER_LOCAL is refused by configuration.
const (
	Connection ShareLevel = "CONNECTION"
	User       ShareLevel = "USER"
	Group      ShareLevel = "GROUP"
	Server     ShareLevel = "SERVER"
)

// Spec says which engine a session wants. Equal specs share an engine; the
// engine space is Path.
type Spec struct {
	Namespace  string // kyuubi.ha.namespace
	ShareLevel ShareLevel
	Owner      string // user, group or server user, by share level
	LaunchUser string // the user the driver runs as
	Subdomain  string // "default", the client's own, or "o-" + 12 hex of its launch options
	// Options are canonical launch options (spark.* and kyuubi.*) of the session.
	Options map[string]string
	// Python is the interpreter for the engine's Python workers; "" is the default one.
	Python string
}

// Path is the engine space in discovery (Kyuubi layout, facts: namespace,
// protocol version, share level and engine type, then owner, then subdomain).
func (s Spec) Path() string {
	root := strings.Join([]string{s.Namespace, ProtocolVersion, string(s.ShareLevel), TypeSparkConnect}, "_")
	return "/" + root + "/" + s.Owner + "/" + s.Subdomain
}
