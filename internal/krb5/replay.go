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
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"roundhouse/internal/errs"
)

// replays remembers the authenticators that were used on this host. Each is
// an empty file, made by whichever gateway sees it first; that a file can be made
// once is all the locking there is. Files lie in a folder of the minute at which
// the caller made the authenticator, and go with that folder once its authenticators
// are too old to be accepted. A crash of a gateway loses nothing.
type replays struct{ dir string }

// grain is the time that one folder covers.
const grain = time.Minute

// newReplays looks at the folder, which the first record makes.
func newReplays(dir string) (*replays, error) {
	r := &replays{dir}
	if err := r.check(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return r, nil
}

// check refuses a folder that another user could write to, and so take the
// record of a replay away.
func (r *replays) check() error {
	var st unix.Stat_t
	if err := unix.Lstat(r.dir, &st); err != nil {
		return fmt.Errorf("the folder of used tokens %s: %w", r.dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is no folder: remove it, or name another one", r.dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to uid %d, not to the gateway's uid %d: name another folder", r.dir, st.Uid, os.Geteuid())
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s has mode %04o and is open to others; run: chmod 700 %s", r.dir, st.Mode&0o777, r.dir)
	}
	return nil
}

// first records an authenticator that its caller made at the given time. It
// refuses one that was recorded before, by any gateway of this host.
func (r *replays) first(made time.Time, authenticator []byte) error {
	hash := sha256.Sum256(authenticator)
	bucket := filepath.Join(r.dir, strconv.FormatInt(made.Unix()/int64(grain.Seconds()), 10))
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
	path := filepath.Join(bucket, name)
	err := touch(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(bucket, 0o700); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	return touch(path)
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
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
// be removed is tried again.
func (r *replays) sweep(now time.Time) {
	entries, _ := os.ReadDir(r.dir) // none: there is nothing to remove
	oldest := now.Add(-Skew-grain).Unix() / int64(grain.Seconds())
	for _, e := range entries {
		minute, err := strconv.ParseInt(e.Name(), 10, 64)
		if err == nil && minute < oldest {
			_ = os.RemoveAll(filepath.Join(r.dir, e.Name()))
		}
	}
}
