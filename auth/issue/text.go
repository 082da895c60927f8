// SPDX-License-Identifier: Apache-2.0

package issue

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"roundhouse/auth"
	"roundhouse/internal/errs"
	"roundhouse/internal/secret"
)

const (
	// prefix tells tokens of gateways from others, and search tools for leaked
	// credentials what they found.
	prefix = "rht_"
	// maxText bounds a token in bytes, so about 500 groups; headers must hold it
	// beside the rest.
	maxText = 16 << 10
	// hostTime is how long a token of the host is good.
	hostTime = time.Minute
)

// claims are what a token says. The names are those of RFC 7519 where it has one.
type claims struct {
	ID      string   `json:"jti"`
	User    string   `json:"sub"`
	Groups  []string `json:"groups,omitempty"`
	Scope   []string `json:"scope"`
	Name    string   `json:"name,omitempty"`
	Method  string   `json:"amr,omitempty"`
	Created int64    `json:"iat"`
	Expires int64    `json:"exp"`
	// Last is the last possible moment.
	Last int64 `json:"last"`
	// Host marks the credentials of the user who runs the gateway.
	Host bool `json:"host,omitempty"`
}

func (c claims) identity() auth.Identity {
	return auth.Identity{User: c.User, Groups: c.Groups, Expires: time.Unix(c.Expires, 0), Token: c.ID}
}

// keyring are the keys that count, by id; the first one signs.
type keyring struct {
	secrets [][]byte
	order   []string
	byID    map[string][]byte
}

func newKeyring(secrets [][]byte) *keyring {
	ring := &keyring{secrets: secrets, byID: map[string][]byte{}}
	for _, s := range secrets {
		key := []byte(secret.Derive(s, secret.LabelToken, ""))
		sum := sha256.Sum256(key)
		id := hex.EncodeToString(sum[:4])
		ring.order = append(ring.order, id)
		ring.byID[id] = key
	}
	return ring
}

// ids names the keys without telling them.
func (k *keyring) ids() string { return strings.Join(k.order, " ") }

func (k *keyring) sign(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding a token: %w", err)
	}
	id := k.order[0]
	options := (&jose.SignerOptions{}).WithHeader(jose.HeaderKey("kid"), id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: k.byID[id]}, options)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	if text = prefix + text; len(text) > maxText {
		return "", errs.New(errs.LimitExceeded, "User %s is in %d groups, and a token with all of them would have %d bytes, more than %d. "+
			"An administrator can make one with those that count here: gateway token create --for %s --group.", c.User, len(c.Groups), len(text), maxText, c.User)
	}
	return text, nil
}

// verify reads a token whose signature is good. No other algorithm than ours is
// looked at. Errors are for the log and hold nothing of the token.
func (k *keyring) verify(text string) (c claims, err error) {
	signed, err := jose.ParseSignedCompact(strings.TrimPrefix(text, prefix), []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return claims{}, errors.New("a token that cannot be read")
	}
	id := signed.Signatures[0].Header.KeyID
	key, known := k.byID[id]
	if !known {
		return claims{}, errors.New("a token signed with a key that does not count any more, or never did")
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return claims{}, errors.New("a token with a wrong signature")
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return claims{}, errors.New("a token with unreadable claims")
	}
	if c.Host && id != k.order[0] {
		return claims{}, errors.New("credentials of the host, signed with the secret before this one")
	}
	return c, nil
}

// hash is what a record keeps of a token.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ForHost makes credentials for a minute for the user who runs the gateway, from
// the cluster secret that only that one can read.
func ForHost(cluster []byte, user string) (string, error) {
	now := time.Now()
	end := now.Add(hostTime).Unix()
	return newKeyring([][]byte{cluster}).sign(claims{
		ID: uuid.NewString(), User: user, Scope: []string{auth.DoorREST}, Created: now.Unix(), Expires: end, Last: end, Host: true,
	})
}
