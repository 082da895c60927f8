// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"roundhouse/internal/secret"
)

// environmentFolders are the variables that name folders.
var environmentFolders = []string{"GATEWAY_HOME", "KYUUBI_HOME", "KYUUBI_CONF_DIR", "KYUUBI_WORK_DIR_ROOT", "KYUUBI_LOG_DIR", "KYUUBI_PID_DIR"}

// checkEnvironment refuses folders that depend on where a command was called.
func checkEnvironment(_ *Conf, getenv func(string) string) (faults Faults) {
	for _, name := range environmentFolders {
		if dir := getenv(name); dir != "" && !filepath.IsAbs(dir) {
			faults = append(faults, Fault{Key: name + " (environment)",
				Text: fmt.Sprintf("%q would be another folder for each place that the gateway is started from: write an absolute path", dir)})
		}
	}
	return faults
}

// checkOwnFiles refuses a configuration that other users of the machine can
// change, which would let them run code as the gateway.
func checkOwnFiles(c *Conf, _ func(string) string) (faults Faults) {
	if c.dir == "" {
		return nil
	}
	profiles, _ := filepath.Glob(filepath.Join(c.dir, profilePrefix+"*"+profileSuffix)) // fails for a broken pattern only
	for _, path := range append([]string{c.dir, c.file, filepath.Join(c.dir, "kyuubi-env.sh")}, profiles...) {
		if path != "" && openToAll(path) {
			faults = append(faults, Fault{At: Source{File: path},
				Text: "every user of this machine can change it, and with it what the gateway runs: chmod o-w " + path})
		}
	}
	return faults
}

// checkClearSecrets refuses secrets in a file that everybody can read, but for
// those that only Kyuubi has a use for.
func checkClearSecrets(c *Conf, _ func(string) string) (faults Faults) {
	info, err := os.Stat(c.file)
	if c.file == "" || err != nil || info.Mode().Perm()&0o004 == 0 {
		return nil
	}
	for _, l := range c.clear {
		if l.from.File == c.file && !slices.Contains(c.foreign, l.key) {
			faults = append(faults, Fault{At: l.from, Key: l.key, Text: "every user of this machine can read this secret: chmod o-r " + c.file +
				", or write file:/path (mode 0600) or env:NAME instead of it"})
		}
	}
	return faults
}

// checkSecretFiles looks at the files that hold nothing but secrets.
func checkSecretFiles(c *Conf, _ func(string) string) (faults Faults) {
	if path := AuthTokenFile.Get(c); c.Uses(AuthToken) && path != "" {
		faults = append(faults, c.secretFault(AuthTokenFile.Key, path, "make it with a line of a token and its user, and chmod 600")...)
	}
	if keytab, ok := c.Raw("spark.kerberos.keytab"); ok && filepath.IsAbs(keytab) {
		faults = append(faults, c.secretFault("spark.kerberos.keytab", keytab, "copy the keytab there, and chmod 600")...)
	}
	_, err := secret.Load(c.ClusterSecretFile())
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Clustered():
		faults = append(faults, c.blame(ServerClusterSecretFile.Key, "gateways that share sessions need the same secret, and there is none in %[1]s: "+
			"copy the file of another gateway there (mode 0600), or for the first one make it, as its user: (umask 077; openssl rand -hex 32 > %[1]s)", c.ClusterSecretFile())...)
	case err != nil && !errors.Is(err, fs.ErrNotExist): // the first start of a lone gateway makes it
		faults = append(faults, c.blame(ServerClusterSecretFile.Key, "the keys of all engines come from this file, and it cannot be used: %v", err)...)
	}
	return faults
}

// secretFault says why a secret file cannot be used; fix is for an absent one.
func (c *Conf) secretFault(key, path, fix string) Faults {
	_, err := secret.ReadFile(path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return c.blame(key, "%s does not exist: %s", path, fix)
	}
	return c.blame(key, "the secrets in this file cannot be used: %v", err)
}

// trustFault says why a file that tells whom to believe cannot be used, "" if it
// can; danger is what whoever changes it could do.
func trustFault(path, danger string) string {
	if path == "" {
		return ""
	}
	if _, err := os.ReadFile(path); err != nil {
		return fmt.Sprintf("the file cannot be read (%v): correct the path or the permissions", err)
	}
	if openToAll(path) {
		return fmt.Sprintf("every user of this machine can change %s %s: chmod o-w %s", path, danger, path)
	}
	if open := openAbove(filepath.Dir(path)); open != "" {
		return fmt.Sprintf("every user of this machine can replace what is in %s %s: chmod o-w %s, or move the file", open, danger, open)
	}
	return ""
}

// authoritiesFault is the same of the certificate authorities of a peer.
func authoritiesFault(path, peer string) string {
	why := trustFault(path, "and so pretend to be "+peer)
	if path == "" || why != "" {
		return why
	}
	if text, err := os.ReadFile(path); err != nil || !x509.NewCertPool().AppendCertsFromPEM(text) {
		return path + " holds no certificate in PEM form"
	}
	return ""
}

// checkFolders looks whether the gateway can write to its folders, and not every
// user of the machine. Another owner or a group that may write is the
// administrator's choice.
func checkFolders(c *Conf, _ func(string) string) (faults Faults) {
	for _, e := range []Entry[string]{ServerDataDir, ServerWorkDir} {
		if why := folderFault(e.Get(c)); why != "" {
			faults = append(faults, c.blame(e.Key, "%s", why)...)
		}
	}
	return faults
}

// folderFault says what is wrong with a folder to write to, or with the nearest
// one above it that exists.
func folderFault(dir string) string {
	if !filepath.IsAbs(dir) {
		return fmt.Sprintf("%q is no absolute path; set GATEWAY_HOME or name a folder", dir)
	}
	at := nearestThere(dir)
	info, err := os.Stat(at)
	switch {
	case err != nil:
		return fmt.Sprintf("the folder cannot be used (%v): make it, or name another one", err)
	case !info.IsDir():
		return at + " is a file, not a folder: remove it, or name another folder"
	case unix.Access(at, unix.W_OK|unix.X_OK) != nil:
		return fmt.Sprintf("the gateway (uid %d) cannot write to %s: change its owner or its mode, or name another folder", os.Geteuid(), at)
	}
	open := openAbove(at)
	if at == dir && openToAll(dir) {
		open = dir
	}
	if open != "" {
		return fmt.Sprintf("every user of this machine can replace what is in %s, the gateway's files too: chmod o-w %s, or name another folder", open, open)
	}
	return ""
}

// nearestThere is path, or the nearest folder above it that exists.
func nearestThere(path string) string {
	for path != "/" {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		path = filepath.Dir(path)
	}
	return path
}

// openAbove is dir, or the first folder above it, in which every user can
// replace what belongs to others; "" if there is none. The sticky bit, as of
// /tmp, keeps files of others safe.
func openAbove(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return dir
		}
		if dir == "/" {
			return ""
		}
	}
}

// openToAll says whether every user can write to a file or folder that exists.
func openToAll(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o002 != 0
}
