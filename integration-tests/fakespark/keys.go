// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// keys are the secrets of this engine. The code here is written from
// engine/DESIGN.md on its own, so that a mistake on the gateway's side shows.
type keys struct{ rpc, register, control, zoo, relayKey, relayCertificate, relayClient string }

// takeKeys reads the key file of an engine and deletes it. The keys for ZooKeeper and for a relay
// are needed there only.
func takeKeys(s settings) (keys, error) {
	props, err := readProperties(s.keyFile)
	if err != nil {
		return keys{}, err
	}
	needed := []string{"rpc", "register", "control"}
	if s.zoo != nil {
		needed = append(needed, "zk")
	}
	if s.relay != nil {
		needed = append(needed, "relay.key", "relay.certificate", "relay.client")
	}
	for _, name := range needed {
		if props[name] == "" {
			return keys{}, fmt.Errorf("the key file %s lacks a key: %s", s.keyFile, name)
		}
	}
	if err := os.Remove(s.keyFile); err != nil {
		return keys{}, fmt.Errorf("key file: %w", err)
	}
	return keys{
		rpc: props["rpc"], register: props["register"], control: props["control"], zoo: props["zk"],
		relayKey: props["relay.key"], relayCertificate: props["relay.certificate"], relayClient: props["relay.client"],
	}, nil
}

func (k keys) mac(parts ...string) string {
	h := hmac.New(sha256.New, []byte(k.register))
	h.Write([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(h.Sum(nil))
}

// ports are where an engine is reached.
type ports struct {
	connect, control string // host:port
	relay            *relay // nil: only from its machine
}

// nodeName is the registration of this engine. An attribute with a ";" is dropped.
func nodeName(s settings, k keys, p ports, about map[string]string) string {
	connect, control := p.connect, p.control
	relay, fingerprint := p.relay.attributes()
	signed := []string{"roundhouse-registration-v1", s.path, connect, control, fingerprint, s.refID}
	pairs := []string{
		"serverUri=" + connect, "version=1",
		"sparkConnectPort=" + connect[strings.LastIndexByte(connect, ':')+1:], "control=" + control,
	}
	if relay != "" {
		pairs, signed = append(pairs, "relay="+relay, "fingerprint="+fingerprint), append(signed, relay)
	}
	for _, key := range slices.Sorted(maps.Keys(about)) {
		if !strings.Contains(about[key], ";") {
			pairs = append(pairs, key+"="+about[key])
		}
	}
	return strings.Join(append(pairs, "mac="+k.mac(signed...), "refId="+s.refID, "sequence=0000000000"), ";")
}
