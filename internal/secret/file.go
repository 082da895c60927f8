// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// fileLimit bounds the size of a secret file in bytes.
const fileLimit = 1 << 20

// LoadOrCreate reads the cluster secret (64 hex digits) from path. If the file
// is absent and create is set, it is made with fresh randomness, mode 0600,
// complete or not at all; of two gateways that start at once one makes it and
// both read it. It is an error, and the secret is not used, when the file is a
// symbolic link, not a regular file, owned by another user, or open to group
// or world.
func LoadOrCreate(path string, create bool) ([]byte, error) {
	keys, err := Load(path)
	switch {
	case err == nil:
		return keys[0], nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case !create:
		return nil, fmt.Errorf("the cluster secret %s does not exist; copy it from another gateway of this cluster "+
			"(mode 0600): %w", path, err)
	}
	if err := makeFile(path); err != nil {
		return nil, fmt.Errorf("cannot make the cluster secret %s: %w", path, err)
	}
	keys, err = Load(path)
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

// maxSecrets is how many secrets the file may hold during a rotation.
const maxSecrets = 2

// Load reads the cluster secret and, during a rotation, the one before it: the
// file then has a second line. The rules of LoadOrCreate hold; the error of an
// absent file is fs.ErrNotExist.
func Load(path string) ([][]byte, error) {
	text, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for _, line := range strings.Fields(string(text)) {
		key, err := hex.DecodeString(line)
		if err != nil || len(key) != size {
			return nil, fmt.Errorf("the cluster secret %s is not %d hexadecimal digits; restore it, or remove it "+
				"(running engines and issued tokens are lost then)", path, 2*size)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > maxSecrets {
		return nil, fmt.Errorf("the cluster secret %s has %d lines; it is %d hexadecimal digits, and the secret before it on a second line "+
			"during a rotation", path, len(keys), 2*size)
	}
	return keys, nil
}

// ReadFile reads a file of at most 1 MiB that holds secrets, under the rules
// of LoadOrCreate. The error of an absent file is fs.ErrNotExist.
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link; secrets are read from plain files only, put the file itself there", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkPrivate(f); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if len(text) > fileLimit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, fileLimit)
	}
	return text, err
}

func checkPrivate(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%s is not a regular file", f.Name())
	}
	if mode := st.Mode & 0o777; mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o and is open to others; run: chmod 600 %s", f.Name(), mode, f.Name())
	}
	if uid := os.Geteuid(); int(st.Uid) != uid && st.Uid != 0 {
		return fmt.Errorf("%s belongs to uid %d, not to the gateway's uid %d; change the owner", f.Name(), st.Uid, uid)
	}
	return nil
}

// makeFile writes a fresh secret beside path and links it into place, so that
// nobody ever reads half a secret. That the file exists by now is no error.
func makeFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+filepath.Base(path)+"."+rand.Text())
	defer os.Remove(tmp)
	if err := writeSecret(tmp); err != nil {
		return err
	}
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func writeSecret(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	key := make([]byte, size)
	rand.Read(key) // never fails (crypto/rand of Go 1.24)
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
