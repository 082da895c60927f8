// SPDX-License-Identifier: Apache-2.0

package krb5_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/internal/krb5"
	"roundhouse/internal/krb5/krb5test"
)

// FuzzAccept: nobody comes in by a token that no KDC and no keytab had a part
// in. The seeds are good tokens under the keys of another realm.
func FuzzAccept(f *testing.F) {
	stranger := krb5test.Keytab(f, gateway, other)
	for _, o := range []krb5test.Token{{}, {Mutual: true}, {Bare: true}, {NTLM: true}, {Plain: true}, {Service: other}} {
		ticket := krb5test.Forge(f, krb5test.Forgery{Client: alice, Service: gateway, Keytab: stranger, Checked: true})
		f.Add(ticket.Token(f, o).Bytes)
	}
	s, err := krb5.NewService(krb5.Options{Principal: gateway, Keytab: krb5test.Keytab(f, gateway), ReplayDir: f.TempDir() + "/replays"})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, token []byte) {
		who, err := s.Accept(token, peer)
		require.Error(t, err)
		require.Zero(t, who)
	})
}

func BenchmarkAccept(b *testing.B) {
	keytab := krb5test.Keytab(b, gateway)
	s, err := krb5.NewService(krb5.Options{Principal: gateway, Keytab: keytab, ReplayDir: b.TempDir() + "/replays"})
	require.NoError(b, err)
	ticket := krb5test.Forge(b, krb5test.Forgery{Client: alice, Service: gateway, Keytab: keytab})
	forged := krb5test.Forge(b, krb5test.Forgery{Client: alice, Service: gateway, Keytab: krb5test.Keytab(b, gateway)}).Token(b, krb5test.Token{}).Bytes
	b.Run("good", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			token := ticket.Token(b, krb5test.Token{Mutual: true}).Bytes
			b.StartTimer()
			_, err := s.Accept(token, peer)
			require.NoError(b, err)
		}
	})
	b.Run("forged", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Accept(forged, peer)
			require.Error(b, err)
		}
	})
}
