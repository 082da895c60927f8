// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/viper"
)

// DefaultsFile is the name of the configuration file, Kyuubi's.
const DefaultsFile = "kyuubi-defaults.conf"

const overrideSource = "--conf"

// LoadOptions say where the configuration is.
type LoadOptions struct {
	// Home is the installation folder; "" takes GATEWAY_HOME, then KYUUBI_HOME.
	Home string
	// ConfDir is the folder of the file; "" takes KYUUBI_CONF_DIR, then
	// GATEWAY_HOME/conf, then KYUUBI_HOME/conf, then Home/conf.
	ConfDir string
	// Overrides are the "k=v" of repeated --conf, later ones win.
	Overrides []string
	// Getenv reads the environment; nil is an empty one.
	Getenv func(string) string
}

// Load reads kyuubi-defaults.conf and lays the overrides over it. A missing
// file is no fault (File is "" then), any other problem is: the error is a
// Faults with all of them. Only syntax, names and types are checked; Validate
// checks what the settings mean together.
func Load(o LoadOptions) (*Conf, error) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	c := locate(o)
	text, err := os.ReadFile(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		c.file = ""
	} else if err != nil {
		return nil, Faults{{At: Source{File: c.file}, Text: fmt.Sprintf("cannot be read (%v): make it readable for the gateway's user (uid %d), or name another folder by KYUUBI_CONF_DIR", err, os.Geteuid())}}
	}
	b := builder{c: c, getenv: o.Getenv}
	fileLines, faults := parseProperties(c.file, string(text))
	b.faults = append(b.faults, faults...)
	b.build(fileLines, b.overrides(o.Overrides))
	return b.done()
}

// New makes a configuration of these settings alone, without file and
// environment, with the checks of Load.
func New(settings map[string]string) (*Conf, error) {
	b := builder{c: &Conf{}, getenv: func(string) string { return "" }}
	lines := make([]line, 0, len(settings))
	for key, text := range settings {
		lines = append(lines, line{key: key, text: text})
	}
	b.build(lines)
	return b.done()
}

// locate finds the folders; see LoadOptions for the order.
func locate(o LoadOptions) *Conf {
	gatewayHome, kyuubiHome := o.Getenv("GATEWAY_HOME"), o.Getenv("KYUUBI_HOME")
	c := &Conf{home: cmp.Or(o.Home, gatewayHome, kyuubiHome)}
	c.dir = cmp.Or(o.ConfDir, o.Getenv("KYUUBI_CONF_DIR"), confBelow(gatewayHome), confBelow(kyuubiHome), confBelow(o.Home))
	c.workRoot = cmp.Or(o.Getenv("KYUUBI_WORK_DIR_ROOT"), filepath.Join(c.home, "work"))
	c.logRoot = cmp.Or(o.Getenv("KYUUBI_LOG_DIR"), filepath.Join(c.home, "logs"))
	c.file = filepath.Join(c.dir, DefaultsFile)
	return c
}

func confBelow(home string) string {
	if home == "" {
		return ""
	}
	return filepath.Join(home, "conf")
}

// builder collects a configuration and its faults.
type builder struct {
	c      *Conf
	getenv func(string) string
	faults Faults
}

func (b *builder) fault(l line, text string) {
	b.faults = append(b.faults, Fault{At: l.from, Key: l.key, Text: text})
}

func (b *builder) warn(l line, text string) {
	b.c.warnings = append(b.c.warnings, Fault{At: l.from, Key: l.key, Text: text}.Error())
}

func (b *builder) done() (*Conf, error) {
	if err := b.faults.err(); err != nil {
		return nil, err
	}
	return b.c, nil
}

// overrides reads the arguments of --conf.
func (b *builder) overrides(args []string) []line {
	var lines []line
	for i, arg := range args {
		key, text, ok := strings.Cut(arg, "=")
		l := line{strings.TrimSpace(key), strings.TrimSpace(text), Source{overrideSource, i + 1}}
		if !ok || l.key == "" {
			b.faults = append(b.faults, Fault{At: l.from, Text: "want key=value"})
			continue
		}
		lines = append(lines, l)
	}
	return lines
}

// build checks the layers, later ones win, and keeps what is left.
func (b *builder) build(layers ...[]line) {
	b.c.values, b.c.users = map[string]value{}, map[string]map[string]value{}
	b.warnDoubled(layers[0])
	for _, l := range merge(layers) {
		b.add(l)
	}
	b.renameDeprecated()
}

// merge lays the layers over each other. Viper does it for the settings of the
// table, whose names differ in more than case; all other keys keep their case
// and stay away from it, because it folds keys (docs/decisions/0001-viper.md).
func merge(layers [][]line) map[string]line {
	merged := map[string]line{}
	v := viper.NewWithOptions(viper.KeyDelimiter("::"))
	for _, layer := range layers {
		known := map[string]any{}
		for _, l := range layer {
			if _, ok := byKey[l.key]; ok {
				known[l.key] = l
			} else {
				merged[l.key] = l
			}
		}
		if err := v.MergeConfigMap(known); err != nil {
			panic(fmt.Sprintf("conf: viper refused a flat map: %v", err))
		}
	}
	for key := range byKey {
		if l, ok := v.Get(key).(line); ok {
			merged[key] = l
		}
	}
	return merged
}

func (b *builder) warnDoubled(lines []line) {
	seen := map[string]line{}
	for _, l := range lines {
		if first, ok := seen[l.key]; ok && first.text != l.text {
			b.warn(l, fmt.Sprintf("is set in line %d too; this line wins", first.from.Line))
		}
		seen[l.key] = l
	}
}
