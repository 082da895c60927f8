// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Box seals what the gateway has to keep on disk but nobody may read there
// (AES-256-GCM). Make it with NewBox.
type Box struct{ aead cipher.AEAD }

// NewBox returns a Box whose key comes from the cluster secret and a label.
func NewBox(cluster []byte, label string) (Box, error) {
	key, err := hkdf.Key(sha256.New, cluster, []byte(salt), label, size)
	if err != nil {
		return Box{}, fmt.Errorf("derive the key of %s: %w", label, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return Box{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return Box{aead}, err
}

// Seal encrypts plain. Only Open with the same name opens it.
func (b Box) Seal(plain []byte, name string) []byte {
	return b.aead.Seal(nil, nil, plain, []byte(name))
}

// Open is the inverse of Seal. Its error says nothing about the content.
func (b Box) Open(sealed []byte, name string) ([]byte, error) {
	plain, err := b.aead.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, errors.New("it was not sealed with this cluster secret, or was changed")
	}
	return plain, nil
}
