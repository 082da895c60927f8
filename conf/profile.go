// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const maxProfileBytes = 1 << 20

// applyProfiles lays the profiles over o: those the client named (canonical,
// comma-separated), else those of the user or the server.
func (o *Options) applyProfiles(c *Conf, named string) error {
	names := SessionProfile.Get(c)
	if named != "" {
		names = splitList(named)
	}
	for _, name := range names {
		if err := o.applyProfile(c.dir, name); err != nil {
			return &OptionError{Key: SessionProfile.Key, Invalid: true, Why: err.Error()}
		}
	}
	return nil
}

// applyProfile reads one profile. The administrator wrote it, so it may set
// what clients may not, without maxima; a fault in it is a fault for all.
func (o *Options) applyProfile(dir, name string) error {
	file, text, err := readProfile(dir, name)
	if err != nil {
		return err
	}
	lines, faults := parseProperties(file, text)
	for _, l := range lines {
		if err := o.applyLine(l); err != nil {
			faults = append(faults, Fault{At: l.from, Key: l.key, Text: err.Error()})
		}
	}
	if err := faults.err(); err != nil {
		return fmt.Errorf("the profile %s is broken; tell the administrator: %w", name, err)
	}
	return nil
}

func readProfile(dir, name string) (file, text string, err error) {
	if err := checkProfileName(name); err != nil {
		return "", "", err
	}
	file = profilePrefix + name + profileSuffix
	missing := fmt.Errorf("there is no profile %s (file %s in the configuration folder); check the name or ask the administrator", name, file)
	if dir == "" {
		return "", "", missing
	}
	root, err := os.OpenRoot(dir) // no link leads out of the folder
	if err != nil {
		return "", "", missing
	}
	defer root.Close()
	f, err := root.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", missing
	}
	if err != nil {
		return "", "", fmt.Errorf("the profile %s cannot be read; tell the administrator", name)
	}
	defer f.Close()
	bytes, err := io.ReadAll(io.LimitReader(f, maxProfileBytes))
	if err != nil {
		return "", "", fmt.Errorf("the profile %s cannot be read; tell the administrator", name)
	}
	return file, string(bytes), nil
}

// applyLine puts one setting of a profile where it belongs.
func (o *Options) applyLine(l line) error {
	if k, ok := allowed[strings.ToLower(l.key)]; ok && k.key == l.key && l.key != SessionProfile.Key {
		text, err := k.kind(l.text, nil)
		if err == nil {
			o.choose(map[string]string{l.key: text})
		}
		return err
	}
	if strings.HasPrefix(l.key, "kyuubi.") {
		return o.applyKyuubi(l)
	}
	if strings.HasPrefix(l.key, userMark) {
		return errors.New("user defaults belong into " + DefaultsFile)
	}
	if isRuntime(l.key) {
		o.Session[l.key] = l.text
		return nil
	}
	if name, ok := sparkName(l.key); ok {
		o.Launch[name] = l.text
	}
	return nil
}

func (o *Options) applyKyuubi(l line) error {
	known, err := checkKnown(l.key, l.text)
	switch {
	case err != nil:
		return err
	case !known && isForeign(l.key):
		return nil
	case !known:
		return errors.New(unknownText(l.key))
	case strings.HasPrefix(l.key, EnginePython.Key):
		return errors.New("a profile cannot set this; it can set " + PythonVariable)
	case isServerOnly(l.key) || !isEngineSetting(l.key) || isAboutPlacing(l.key):
		return errors.New("a profile cannot set this")
	}
	o.Launch[l.key] = l.text
	return nil
}

// isEngineSetting says whether a kyuubi.* setting is about engines.
func isEngineSetting(key string) bool {
	return strings.HasPrefix(key, "kyuubi.engine") || strings.HasPrefix(key, "kyuubi.session.engine.")
}

// isRuntime says whether a session can change the setting. Names below
// spark.sql. that Spark does not register are those of catalogs and libraries,
// which it reads when they are first used.
func isRuntime(key string) bool {
	known, registered := sparkSQLKeys[strings.ToLower(key)]
	if registered {
		return !known.static
	}
	return strings.HasPrefix(key, "spark.sql.")
}
