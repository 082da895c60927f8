// SPDX-License-Identifier: Apache-2.0

// Package secret keeps the cluster secret, derives every engine's keys from
// it and hides keys in what people read. Nothing derived is ever stored: each
// gateway that has the cluster secret can compute it (design section 2,
// engine/DESIGN.md).
package secret

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
)

// Labels of the keys of an engine.
const (
	LabelRPC      = "rpc"      // bearer token of the engine's Connect port
	LabelRegister = "register" // MAC of registrations
	LabelControl  = "control"  // bearer token of the engine's control endpoint
	// LabelRelay is that of the seed of the key by which the engine's relay knows gateways.
	LabelRelay     = "relay"
	LabelZooKeeper = "zk" // password with which the engine creates its node
)

// LabelFingerprint is the label of the key of fingerprints of configurations; it is
// derived with no ref id.
const LabelFingerprint = "fingerprint"

// LabelToken is the label of the key that signs the tokens of users; it is
// derived for no engine in particular.
const LabelToken = "token"

const (
	size = 32 // bytes of the cluster secret and of derived keys
	salt = "roundhouse"
)

// Derive is the key of the engine refID for label: HKDF-SHA256 over the
// cluster secret as lower-case hex. The hex text itself is the key.
func Derive(cluster []byte, label, refID string) string {
	key, err := hkdf.Key(sha256.New, cluster, []byte(salt), label+":"+refID, size)
	if err != nil {
		// Only a size beyond 255 hashes, or FIPS mode with a short secret, fails.
		panic(fmt.Sprintf("secret: derive %s: %v", label, err))
	}
	return hex.EncodeToString(key)
}

// MAC is the lower-case hex HMAC-SHA256, under the key text, of the parts with
// a newline between them.
func MAC(key string, parts ...string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(h.Sum(nil))
}

// Equal compares two secrets; the time it takes depends on their lengths only.
// Two empty texts are not equal: an absent secret opens nothing.
func Equal(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
