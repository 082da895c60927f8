// SPDX-License-Identifier: Apache-2.0

package krb5

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"roundhouse/internal/errs"
)

// replays remembers the authenticators that were used on this host. Each is
// an empty file, made by whichever gateway sees it first; that a file can be made
// once is all the locking there is. Files lie in a folder of the minute at which
// the caller made the authenticator, and go with that folder once its authenticators
// are too old to be accepted. A crash of a gateway loses nothing.
type replays struct {
	dir string
	// root is dir as it was when it was checked; nil before.
	root atomic.Pointer[os.Root]
}

// grain is the time that one folder covers.
const grain = time.Minute

// newReplays looks at the folder, if it exists.
func newReplays(dir string) (*replays, error) {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &replays{dir: dir}, nil
	case err == nil:
		err = private(dir, info)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReplays, err)
	}
	return &replays{dir: dir}, nil
}

// private refuses a folder that another user could write to, and so take the
// record of a replay away.
func private(dir string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.IsDir():
		return fmt.Errorf("%s is no folder: remove it, or name another one", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to uid %d, not to the gateway's uid %d: name another folder", dir, st.Uid, os.Geteuid())
	case info.Mode()&0o077 != 0:
		return fmt.Errorf("%s has mode %04o and is open to others; run: chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// open makes the folder if need be and checks it; what follows is done in that
// very folder, whatever stands in its place by then.
func (r *replays) open() (*os.Root, error) {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	named, err := os.Lstat(r.dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err == nil && !os.SameFile(named, opened) { // a link, or replaced since
		err = fmt.Errorf("%s is no folder: remove it, or name another one", r.dir)
	}
	if err == nil {
		err = private(r.dir, opened)
	}
	if err != nil {
		_ = root.Close() // nothing was done there
		return nil, err
	}
	r.root.Store(root) // one before it closes itself once nobody uses it
	return root, nil
}

// first records an authenticator that its caller made at the given time. It
// refuses one that was recorded before, by any gateway of this host.
func (r *replays) first(made time.Time, authenticator []byte) error {
	hash := sha256.Sum256(authenticator)
	bucket := strconv.FormatInt(made.Unix()/int64(grain.Seconds()), 10)
	err := r.record(bucket, hex.EncodeToString(hash[:]))
	switch {
	case errors.Is(err, fs.ErrExist):
		return errors.New("the token was used before")
	case err != nil:
		return errs.Wrap(errs.AuthUnavailable, err, "The gateway cannot remember which Kerberos tickets were used, so it takes none.")
	case time.Since(made) > Skew: // it waited until its folder may have been gone
		return errors.New("the token is too old by now")
	}
	return nil
}

// record makes a file that must not exist, and its folders where needed.
func (r *replays) record(bucket, name string) error {
	path := bucket + "/" + name
	if root := r.root.Load(); root != nil {
		if err := touch(root, path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	root, err := r.open() // again for each bucket, or a folder that is gone would stay so
	if err != nil {
		return err
	}
	if err := root.Mkdir(bucket, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return touch(root, path)
}

func touch(root *os.Root, path string) error {
	f, err := root.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// run sweeps once a grain until ctx ends.
func (r *replays) run(ctx context.Context) error {
	tick := time.NewTicker(grain)
	defer tick.Stop()
	for {
		r.sweep(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweep removes what was made too long ago to be accepted again. What cannot
// be removed is tried again; why the folder cannot be used is said of each token.
func (r *replays) sweep(now time.Time) {
	root, err := r.open()
	if err != nil {
		return
	}
	entries, _ := fs.ReadDir(root.FS(), ".") // none: there is nothing to remove
	oldest := now.Add(-Skew-grain).Unix() / int64(grain.Seconds())
	for _, e := range entries {
		minute, err := strconv.ParseInt(e.Name(), 10, 64)
		if err == nil && minute < oldest {
			_ = root.RemoveAll(e.Name())
		}
	}
}
