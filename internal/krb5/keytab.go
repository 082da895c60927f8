// SPDX-License-Identifier: Apache-2.0

package krb5

import (
	"fmt"

	"github.com/jcmturner/gokrb5/v8/keytab"

	"roundhouse/internal/secret"
)

// loadKeytab reads a keytab under the rules of secret files: a plain file of the
// gateway's user that nobody else can read.
func loadKeytab(path string) (*keytab.Keytab, error) {
	data, err := secret.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the keytab cannot be used: %w", err)
	}
	keys := keytab.New()
	if err := keys.Unmarshal(data); err != nil {
		return nil, fmt.Errorf("%s is no keytab: %w", path, err)
	}
	return keys, nil
}
