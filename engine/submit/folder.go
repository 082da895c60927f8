// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"roundhouse/engine"
)

const (
	propertiesFile = "spark.properties"
	keyFile        = "engine.key"
)

// folder is the private folder of one engine.
type folder struct{ *os.Root }

// makeFolder makes <root>/<user>/<refID>, all of it for the gateway's user
// alone. Names that are not plain, folders that are links and folders of
// somebody else are refused.
func makeFolder(root, user, refID string) (folder, error) {
	for _, name := range []string{user, refID} {
		if !filepath.IsLocal(name) || filepath.Base(name) != name || strings.HasPrefix(name, ".") {
			return folder{}, fmt.Errorf("%q is not a plain name", name)
		}
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return folder{}, err
	}
	top, err := os.OpenRoot(root)
	if err != nil {
		return folder{}, err
	}
	defer top.Close()
	if err := top.Mkdir(user, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return folder{}, err
	}
	if err := checkOwn(top, user); err != nil {
		return folder{}, err
	}
	path := filepath.Join(user, refID)
	if err := top.Mkdir(path, 0o700); err != nil {
		return folder{}, err
	}
	made, err := top.OpenRoot(path)
	return folder{made}, err
}

// checkOwn wants a real folder of the gateway's user and closes it to others.
func checkOwn(top *os.Root, name string) error {
	info, err := top.Lstat(name)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a folder of the gateway's user; remove it", filepath.Join(top.Name(), name))
	}
	return top.Chmod(name, 0o700)
}

// create makes a new file of the gateway's user alone.
func (f folder) create(name string, flags int) (*os.File, error) {
	return f.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|flags, 0o600)
}

// write makes a properties file.
func (f folder) write(name string, settings map[string]string) error {
	text, err := formatProperties(settings)
	if err != nil {
		return err
	}
	file, err := f.create(name, 0)
	if err != nil {
		return fmt.Errorf("%s of the engine could not be made: %w", name, err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("%s of the engine could not be written: %w", name, err)
	}
	return nil
}

// Files looks after the folders below a work root. It is an engine.Files.
type Files struct {
	// Root is the work root.
	Root string
	// ReasonSize is the most characters of a log in an error.
	ReasonSize int
	// ReasonLines are shown of the log's end when it names no reason.
	ReasonLines int
}

// DropSecrets removes the properties file and, if the plugin has not done so,
// the key file.
func (f Files) DropSecrets(workDir string) error {
	return f.inside(workDir, func(root *os.Root, path string) error {
		return errors.Join(remove(root, path, propertiesFile), remove(root, path, keyFile))
	})
}

func remove(root *os.Root, path, name string) error {
	if err := root.Remove(filepath.Join(path, name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Sweep removes everything in the folder of an engine but its log.
func (f Files) Sweep(workDir string) error {
	return f.inside(workDir, func(root *os.Root, path string) error {
		entries, err := fs.ReadDir(root.FS(), path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, entry := range entries {
			if entry.Name() != engine.LogFile {
				err = errors.Join(err, root.RemoveAll(filepath.Join(path, entry.Name())))
			}
		}
		return err
	})
}

// inside calls do with the path of workDir relative to its root; a folder that
// is not an engine's own is refused.
func (f Files) inside(workDir string, do func(root *os.Root, path string) error) error {
	top := f.rootOf(workDir)
	path, err := filepath.Rel(top, workDir)
	if err != nil || !filepath.IsLocal(path) || strings.Count(path, string(filepath.Separator)) != 1 {
		return fmt.Errorf("%s is not the folder of an engine below %s", workDir, f.Root)
	}
	root, err := os.OpenRoot(top)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	return do(root, path)
}

// rootOf is the work root that an engine's folder was made below: another one
// when the setting has changed since. A folder elsewhere must have the name of
// an engine, a ref id.
func (f Files) rootOf(workDir string) string {
	if filepath.IsAbs(workDir) && filepath.Clean(workDir) == workDir && uuid.Validate(filepath.Base(workDir)) == nil {
		return filepath.Dir(filepath.Dir(workDir))
	}
	return f.Root
}

// Expire removes the folders of engines that are not live and whose log was
// last written before the given time.
func (f Files) Expire(before time.Time, live map[string]bool) error {
	root, err := os.OpenRoot(f.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	paths, err := fs.Glob(root.FS(), "*/*")
	for _, path := range paths {
		if !live[filepath.Base(path)] && lastWritten(root, path).Before(before) {
			err = errors.Join(err, root.RemoveAll(path))
		}
	}
	return err
}

// lastWritten is the age of an engine's log, or of its folder without one.
func lastWritten(root *os.Root, path string) time.Time {
	info, err := root.Lstat(filepath.Join(path, engine.LogFile))
	if err != nil {
		info, err = root.Lstat(path)
	}
	if err != nil {
		return time.Now()
	}
	return info.ModTime()
}
