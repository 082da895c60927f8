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
type Box struct{ aeads []cipher.AEAD }

// NewBox returns a Box whose key comes from the cluster secret and a label. It
// also opens what boxes of the secrets before have sealed.
func NewBox(cluster []byte, label string, before ...[]byte) (Box, error) {
	var b Box
	for _, s := range append([][]byte{cluster}, before...) {
		key, err := hkdf.Key(sha256.New, s, []byte(salt), label, size)
		if err != nil {
			return Box{}, fmt.Errorf("derive the key of %s: %w", label, err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return Box{}, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return Box{}, err
		}
		b.aeads = append(b.aeads, aead)
	}
	return b, nil
}

// Seal encrypts plain. Only Open with the same name opens it.
func (b Box) Seal(plain []byte, name string) []byte {
	return b.aeads[0].Seal(nil, nil, plain, []byte(name))
}

// Open is the inverse of Seal. Its error says nothing about the content.
func (b Box) Open(sealed []byte, name string) ([]byte, error) {
	for _, aead := range b.aeads {
		if plain, err := aead.Open(nil, nil, sealed, []byte(name)); err == nil {
			return plain, nil
		}
	}
	return nil, errors.New("it was not sealed with this cluster secret, or was changed")
}
