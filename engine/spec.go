// SPDX-License-Identifier: Apache-2.0

// Package engine launches, finds, watches and ends engines: Spark drivers with
// the Roundhouse plugin. See DESIGN.md for the life of an engine, its files and
// the protocol with the plugin.
package engine

import (
	"fmt"
	"regexp"
	"strings"
)

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

// Shared says whether several users share the engines of this level.
func (l ShareLevel) Shared() bool { return l == Group || l == Server }

// Spec says which engine a session wants. Equal specs share an engine; the
// engine space is Path.
type Spec struct {
	Namespace  string // kyuubi.ha.namespace
	ShareLevel ShareLevel
	Owner      string // user, group or server user, by share level
	LaunchUser string // in whose name it is launched: of its folder, in logs
	Subdomain  string // "default", the client's own, or "o-" + 12 hex of its launch options
	// Options are canonical launch options (spark.* and kyuubi.*) of the session.
	Options map[string]string
	// Session names the session that a CONNECTION engine is for: calls of the
	// same session join one launch. It is no part of Path, and other share
	// levels ignore it.
	Session string
	// Group is the primary group of Owner, or Owner at the level GROUP. The manager finds
	// it out where a limit needs it; it is no part of Path.
	Group string
	// Python is the interpreter for the engine's Python workers; "" is the default one.
	Python string
}

// User is the one user whom the engine belongs to, "" where several share it: nobody
// owns an engine of a group or of all users, and the defaults of no user count for it.
func (s Spec) User() string {
	if s.ShareLevel.Shared() {
		return ""
	}
	return s.Owner
}

// Path is the engine space in discovery (Kyuubi layout, facts: namespace,
// protocol version, share level and engine type, then owner, then subdomain).
func (s Spec) Path() string {
	root := strings.Join([]string{s.Namespace, ProtocolVersion, string(s.ShareLevel), TypeSparkConnect}, "_")
	return "/" + root + "/" + s.Owner + "/" + s.Subdomain
}

// spaceKey tells which launches and engines a spec may share. A CONNECTION
// engine belongs to one session; its path is known only with its ref id.
func (s Spec) spaceKey() string {
	if s.ShareLevel == Connection && s.Session != "" {
		return strings.Join([]string{"session", s.Owner, s.Session}, "\x00")
	}
	return s.Path()
}

// nameRule is what may become a folder and a discovery node.
var nameRule = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}$`)

// validate refuses names that could leave their folder or their node.
func (s Spec) validate() error {
	for what, name := range map[string]string{
		"user": s.LaunchUser, "owner": s.Owner, "subdomain": s.Subdomain, "namespace": s.Namespace, "share level": string(s.ShareLevel),
	} {
		if !nameRule.MatchString(name) {
			return fmt.Errorf("the %s %q of an engine has characters that names of folders must not have", what, name)
		}
	}
	return nil
}

// parsePath is the inverse of Path, for records of earlier gateways.
func parsePath(path string) (Spec, error) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) != 3 {
		return Spec{}, fmt.Errorf("engine space %q has not three parts", path)
	}
	root, ok := strings.CutSuffix(parts[0], "_"+TypeSparkConnect)
	level := strings.LastIndexByte(root, '_')
	if !ok || level < 0 {
		return Spec{}, fmt.Errorf("engine space %q does not end in a share level and %s", path, TypeSparkConnect)
	}
	namespace, ok := strings.CutSuffix(root[:level], "_"+ProtocolVersion)
	if !ok {
		return Spec{}, fmt.Errorf("engine space %q is not of protocol version %s", path, ProtocolVersion)
	}
	return Spec{Namespace: namespace, ShareLevel: ShareLevel(root[level+1:]), Owner: parts[1], Subdomain: parts[2]}, nil
}
