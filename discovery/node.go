// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Node is the registration of one engine, in Kyuubi's node-name format:
//
//	serverUri=host:port;version=…;key=value;…;refId=…;sequence=…
type Node struct {
	// Address is the host:port of the Connect service (serverUri).
	Address string
	// Version is the engine protocol version.
	Version string
	// RefID is the engine's reference id, a UUID made by the launching gateway.
	RefID string
	// Sequence is set by the store; 0 means not stored yet.
	Sequence int64
	// Attributes are the remaining pairs: sparkConnectPort, control, mac,
	// sparkVersion, kyuubi.engine.id, kyuubi.engine.url, spark.driver.memory, …
	Attributes map[string]string
}

// The attributes of a Node that have a field of their own.
const (
	keyAddress   = "serverUri"
	keyOldName   = "serviceUri" // of servers before Kyuubi 1.6
	keyVersion   = "version"
	keyRefID     = "refId"
	keySequence  = "sequence"
	maxNodeBytes = 16 << 10
)

// ParseNode reads a node name. Attributes come in any order, unknown ones are
// kept, a value may contain "=" and may be empty. Only serverUri (or its old
// name serviceUri) is required: a node without refId is not ours, but no
// error. What is ambiguous or cannot be an address is an error.
func ParseNode(name string) (Node, error) {
	if err := checkText(name); err != nil {
		return Node{}, err
	}
	n := Node{Attributes: map[string]string{}}
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(name, ";") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return Node{}, fmt.Errorf("discovery: node: %q is not key=value", clip(pair))
		}
		if key == keyOldName {
			key = keyAddress
		}
		if seen[key] {
			return Node{}, fmt.Errorf("discovery: node: %q is given twice", clip(key))
		}
		seen[key] = true
		if err := n.set(key, value); err != nil {
			return Node{}, err
		}
	}
	if !seen[keyAddress] {
		return Node{}, errors.New("discovery: node: no serverUri")
	}
	return n, nil
}

func (n *Node) set(key, value string) (err error) {
	switch key {
	case keyAddress:
		n.Address, err = value, checkAddress(value)
	case keyVersion:
		n.Version = value
	case keyRefID:
		n.RefID = value
	case keySequence:
		n.Sequence, err = parseSequence(value)
	default:
		n.Attributes[key] = value
	}
	return err
}

// String is the node name: serverUri, version, the attributes by name, refId if
// there is one, sequence. Equal nodes have equal names. An attribute that the format cannot
// carry (a reserved or malformed key, ";" or a control character in the value)
// is left out.
func (n Node) String() string {
	pairs := []string{keyAddress + "=" + n.Address, keyVersion + "=" + n.Version}
	for _, key := range slices.Sorted(maps.Keys(n.Attributes)) {
		if value := n.Attributes[key]; portable(key, value) {
			pairs = append(pairs, key+"="+value)
		}
	}
	if n.RefID != "" {
		pairs = append(pairs, keyRefID+"="+n.RefID)
	}
	pairs = append(pairs, fmt.Sprintf("%s=%010d", keySequence, n.Sequence))
	return strings.Join(pairs, ";")
}

func portable(key, value string) bool {
	switch key {
	case "", keyAddress, keyOldName, keyVersion, keyRefID, keySequence:
		return false
	}
	return !strings.ContainsAny(key, "=;") && !strings.Contains(value, ";") && checkText(key+value) == nil
}

// checkText refuses what no store should hold or log: oversized, not UTF-8,
// control characters.
func checkText(s string) error {
	if len(s) > maxNodeBytes {
		return fmt.Errorf("discovery: node of %d bytes, more than %d", len(s), maxNodeBytes)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
		return fmt.Errorf("discovery: node: %q contains control characters or is not UTF-8", clip(s))
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// checkAddress accepts host:port and [IPv6]:port. Bare IPv6 is refused: its
// last group and a port look the same.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("discovery: node: serverUri: %w", err)
	}
	if host == "" || strings.ContainsAny(host, " /@") {
		return fmt.Errorf("discovery: node: serverUri %q has no usable host", clip(address))
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return fmt.Errorf("discovery: node: serverUri %q has no usable port", clip(address))
	}
	return nil
}

// parseSequence reads the number that the store appends. ZooKeeper's counter
// is a signed 32-bit number and may be negative after an overflow.
func parseSequence(value string) (int64, error) {
	seq, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("discovery: node: sequence %q is not a number", clip(value))
	}
	return seq, nil
}

// clip shortens foreign text for an error message.
func clip(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
