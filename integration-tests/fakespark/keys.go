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
type keys struct{ rpc, register, control, zoo string }

// takeKeys reads the key file and deletes it. The key for ZooKeeper is needed there only.
func takeKeys(path string, withZooKeeper bool) (keys, error) {
	props, err := readProperties(path)
	if err != nil {
		return keys{}, err
	}
	k := keys{rpc: props["rpc"], register: props["register"], control: props["control"], zoo: props["zk"]}
	if k.rpc == "" || k.register == "" || k.control == "" || withZooKeeper && k.zoo == "" {
		return keys{}, fmt.Errorf("the key file %s lacks a key", path)
	}
	if err := os.Remove(path); err != nil {
		return keys{}, fmt.Errorf("key file: %w", err)
	}
	return k, nil
}

func (k keys) mac(parts ...string) string {
	h := hmac.New(sha256.New, []byte(k.register))
	h.Write([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(h.Sum(nil))
}

// nodeName is the registration of this engine. An attribute with a ";" is dropped.
func nodeName(s settings, k keys, connect, control string, about map[string]string) string {
	pairs := []string{
		"serverUri=" + connect, "version=1",
		"sparkConnectPort=" + connect[strings.LastIndexByte(connect, ':')+1:], "control=" + control,
	}
	for _, key := range slices.Sorted(maps.Keys(about)) {
		if !strings.Contains(about[key], ";") {
			pairs = append(pairs, key+"="+about[key])
		}
	}
	mac := k.mac("roundhouse-registration-v1", s.path, connect, control, "", s.refID)
	return strings.Join(append(pairs, "mac="+mac, "refId="+s.refID, "sequence=0000000000"), ";")
}
