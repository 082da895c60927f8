// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBoxOpensOnlyWhatItSealed(t *testing.T) {
	box, err := NewBox([]byte("0123456789abcdef0123456789abcdef"), "label")
	require.NoError(t, err)
	sealed := box.Seal([]byte("hidden"), "alice")
	require.NotContains(t, string(sealed), "hidden")
	require.NotEqual(t, sealed, box.Seal([]byte("hidden"), "alice"), "each has a nonce of its own")
	plain, err := box.Open(sealed, "alice")
	require.NoError(t, err)
	require.Equal(t, "hidden", string(plain))
	for name, of := range map[string]struct{ secret, label, name string }{
		"another secret": {"another secret of 32 bytes .....", "label", "alice"},
		"another label":  {"0123456789abcdef0123456789abcdef", "other", "alice"},
		"another name":   {"0123456789abcdef0123456789abcdef", "label", "bob"},
	} {
		other, err := NewBox([]byte(of.secret), of.label)
		require.NoError(t, err)
		_, err = other.Open(sealed, of.name)
		require.Error(t, err, name)
	}
	next, err := NewBox([]byte("another secret of 32 bytes ....."), "label", []byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	plain, err = next.Open(sealed, "alice")
	require.NoError(t, err, "the secret before counts")
	require.Equal(t, "hidden", string(plain))
	_, err = box.Open(next.Seal(plain, "alice"), "alice")
	require.Error(t, err, "and seals nothing")
	_, err = box.Open(nil, "alice")
	require.Error(t, err)
}

func TestDeriveIsHKDFAsDocumented(t *testing.T) {
	cluster := bytes.Repeat([]byte{7}, 32)
	const refID = "0b4e4f0a-8f2f-4a53-b6ad-2d8f6a9c8f11"

	// HKDF by hand (RFC 5869): extract, then one block of expand.
	prk := sum([]byte("roundhouse"), cluster)
	okm := sum(prk, []byte("rpc:"+refID+"\x01"))
	require.Equal(t, hex.EncodeToString(okm), Derive(cluster, LabelRPC, refID))

	require.NotEqual(t, Derive(cluster, LabelRPC, refID), Derive(cluster, LabelControl, refID))
	require.NotEqual(t, Derive(cluster, LabelRPC, refID), Derive(cluster, LabelRPC, "other"))
}

func TestMACJoinsPartsWithNewlines(t *testing.T) {
	want := hex.EncodeToString(sum([]byte("key"), []byte("PUT\n/path\n{}")))
	require.Equal(t, want, MAC("key", "PUT", "/path", "{}"))
}

func sum(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

func TestEqual(t *testing.T) {
	require.True(t, Equal("a", "a"))
	require.False(t, Equal("a", "b"))
	require.False(t, Equal("a", "aa"))
	require.False(t, Equal("", ""), "an absent secret opens nothing")
}

func TestLoadOrCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "secret")
	_, err := LoadOrCreate(path, false)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, path)

	made, err := LoadOrCreate(path, true)
	require.NoError(t, err)
	require.Len(t, made, 32)
	loaded, err := LoadOrCreate(path, false)
	require.NoError(t, err)
	require.Equal(t, made, loaded)

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file is left")
}

func TestLoadOrCreateTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	keys := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i], _ = LoadOrCreate(path, true) })
	}
	wg.Wait()
	for _, key := range keys {
		require.Len(t, key, 32)
		require.Equal(t, keys[0], key)
	}
}

func TestLoadDuringARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, strings.Repeat("cd", 32)+"\n"+strings.Repeat("ab", 32)+"\n", 0o600)
	keys, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, [][]byte{bytes.Repeat([]byte{0xcd}, 32), bytes.Repeat([]byte{0xab}, 32)}, keys)
	current, err := LoadOrCreate(path, false)
	require.NoError(t, err)
	require.Equal(t, keys[0], current)
}

func TestLoadRefusesUnsafeFiles(t *testing.T) {
	good := strings.Repeat("ab", 32) + "\n"
	for name, tc := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"group readable": {func(t *testing.T, p string) { write(t, p, good, 0o640) }, "chmod 600"},
		"world readable": {func(t *testing.T, p string) { write(t, p, good, 0o604) }, "chmod 600"},
		"symlink": {func(t *testing.T, p string) {
			write(t, p+".real", good, 0o600)
			require.NoError(t, os.Symlink(p+".real", p))
		}, "symbolic link"},
		"directory":     {func(t *testing.T, p string) { require.NoError(t, os.Mkdir(p, 0o700)) }, "not a regular file"},
		"too short":     {func(t *testing.T, p string) { write(t, p, "abcd\n", 0o600) }, "64 hexadecimal digits"},
		"not hex":       {func(t *testing.T, p string) { write(t, p, strings.Repeat("xy", 32), 0o600) }, "64 hexadecimal digits"},
		"too large":     {func(t *testing.T, p string) { write(t, p, strings.Repeat("a", fileLimit+1), 0o600) }, "larger than"},
		"three secrets": {func(t *testing.T, p string) { write(t, p, good+good+good, 0o600) }, "3 lines"},
		"a bad second":  {func(t *testing.T, p string) { write(t, p, good+"xy\n", 0o600) }, "64 hexadecimal digits"},
		"empty":         {func(t *testing.T, p string) { write(t, p, "", 0o600) }, "64 hexadecimal digits"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			tc.make(t, path)
			_, err := LoadOrCreate(path, true)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, path)
			require.NotContains(t, err.Error(), "abab", "the secret is not in the error")
		})
	}
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chmod(path, mode))
}

func TestMask(t *testing.T) {
	m := Mask("abc", "", "abcdef", "xyz")
	require.Equal(t, "1"+Hidden+"2"+Hidden+"g", m.Text("1abc2abcdefg"), "the longest wins")
	require.Equal(t, Hidden+"d", m.Text("abcd"))
	require.Equal(t, "nothing", m.Text("nothing"))
	require.Equal(t, "abc", Mask().Text("abc"))
}
