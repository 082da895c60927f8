// SPDX-License-Identifier: Apache-2.0

// Package submit starts drivers with spark-submit. The argument vector has one
// constant shape; everything else goes through a properties file, a key file
// and an environment made from an allow-list, all of them private to the
// gateway's user (engine/DESIGN.md, files of one engine).
package submit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"roundhouse/engine"
	"roundhouse/engine/local"
	"roundhouse/engine/standalone"
)

const mainClass = "org.roundhouse.engine.ConnectEngine"

// Options are the settings of a Launcher.
type Options struct {
	// WorkRoot holds the folders of all engines. It is made when needed.
	WorkRoot string
	// PluginJar is the engine plugin (kyuubi.session.engine.spark.main.resource).
	PluginJar string
	// GatewayURL is the base URL at which drivers register, such as
	// http://127.0.0.1:10099. It is asked at each launch.
	GatewayURL func() string
	// Store are the properties with which the plugin reaches the store where gateways
	// and engines find each other, below spark.kyuubi.ha. It is asked at each launch. nil: the
	// driver registers at GatewayURL.
	Store func() map[string]string
	// Relay, with Store, lets engines offer a relay to gateways on other machines.
	Relay bool
	// Base returns the configuration for engines of a user: the server's and
	// the user's own defaults, under the names that Spark reads; for an engine that
	// several users share, of the user "", the server's alone. spark.*,
	// kyuubi.engineEnv.* and the keys of Times count. The options of a session
	// are laid over it. Optional.
	Base func(user string) map[string]string
	// Times are the values of the plugin's timers unless Base or the options
	// of a session say otherwise.
	Times Times
	// Duration reads a duration as the configuration writes it.
	Duration func(string) (time.Duration, error)
	// MaxMessage is the largest gRPC message in bytes that clients may send.
	MaxMessage int
	// FingerprintKey is the key of Fingerprint, from the cluster secret.
	FingerprintKey string
	// Getenv is the gateway's environment; nil means os.Getenv.
	Getenv func(string) string
}

// Times are the plugin's timers. Zero or less means never, except for
// CheckInterval.
type Times struct {
	SessionIdle   time.Duration // kyuubi.session.idle.timeout
	EngineIdle    time.Duration // kyuubi.session.engine.idle.timeout
	CheckInterval time.Duration // kyuubi.session.engine.check.interval
	InitialWait   time.Duration // kyuubi.session.engine.spark.max.initial.wait
	Lifetime      time.Duration // kyuubi.session.engine.spark.max.lifetime
	// HeapPercent is kyuubi.session.engine.spark.max.heap.percent.
	HeapPercent int
}

// Launcher starts drivers on this machine. It is an engine.Launcher.
type Launcher struct {
	opts    Options
	masters *standalone.Client
}

// New returns a Launcher. It touches no files.
func New(o Options) (*Launcher, error) {
	if o.WorkRoot == "" || !filepath.IsAbs(o.WorkRoot) {
		return nil, fmt.Errorf("submit: the work root %q is not an absolute path", o.WorkRoot)
	}
	if o.GatewayURL == nil && o.Store == nil || o.Duration == nil || o.MaxMessage <= 0 {
		return nil, errors.New("submit: GatewayURL, Duration or MaxMessage is missing")
	}
	if o.Base == nil {
		o.Base = func(string) map[string]string { return nil }
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	return &Launcher{opts: o, masters: standalone.NewClient()}, nil
}

// WorkDir is <work root>/<launch user>/<ref id>.
func (l *Launcher) WorkDir(launchUser, refID string) string {
	return filepath.Join(l.opts.WorkRoot, launchUser, refID)
}

// Open finds the process of an earlier gateway; without a pid by the path of its
// properties file, which stands among its arguments.
func (l *Launcher) Open(id local.Identity, workDir string) (engine.Process, error) {
	p, err := local.Open(id, filepath.Join(workDir, propertiesFile))
	if err != nil {
		return nil, err // not p: a nil *Process is no nil interface
	}
	return p, nil
}

// Start prepares the folder of an engine and starts its driver there. What can
// be known to be wrong before is said at once, with the key to correct.
func (l *Launcher) Start(ctx context.Context, launch engine.Launch) (engine.Process, error) {
	if err := l.checkPlugin(); err != nil {
		return nil, err
	}
	if err := checkPython(launch.Spec.Python); err != nil {
		return nil, err
	}
	d, err := l.driver(launch)
	if err != nil {
		return nil, err
	}
	if err := d.reachMaster(ctx); err != nil {
		return nil, err
	}
	return l.spawn(launch, d)
}

// driver is what a driver is started with.
type driver struct {
	home        string
	environment map[string]string
	properties  map[string]string
}

// driver puts the settings of a launch together.
func (l *Launcher) driver(launch engine.Launch) (d driver, err error) {
	settings := l.settings(launch.Spec)
	if d.home, err = l.sparkHome(settings); err != nil {
		return d, err
	}
	if d.environment, err = l.environment(settings, launch, d.home); err != nil {
		return d, err
	}
	if d.properties, err = l.properties(settings, launch, confDir(d.environment, d.home)); err != nil {
		return d, err
	}
	return d, d.place(launch.RefID)
}

// settings are the configuration of one engine: the user's, with the options of
// the session laid over it.
func (l *Launcher) settings(spec engine.Spec) map[string]string {
	all := map[string]string{}
	maps.Copy(all, l.opts.Base(spec.User()))
	maps.Copy(all, spec.Options)
	return all
}

// spawn writes the files and starts the process.
func (l *Launcher) spawn(launch engine.Launch, d driver) (engine.Process, error) {
	folder, err := makeFolder(l.opts.WorkRoot, launch.Spec.LaunchUser, launch.RefID)
	if err != nil {
		return nil, fmt.Errorf("the folder of the engine could not be made: %w", err)
	}
	defer folder.Close()
	if err := folder.write(propertiesFile, d.properties); err != nil {
		return nil, err
	}
	keys, err := l.keys(launch)
	if err != nil {
		return nil, err
	}
	if err := folder.write(keyFile, keys); err != nil {
		return nil, err
	}
	log, err := folder.create(engine.LogFile, os.O_APPEND)
	if err != nil {
		return nil, fmt.Errorf("the log of the engine could not be made: %w", err)
	}
	defer log.Close()
	p, err := local.Start(local.Command{
		Args: arguments(d.home, launch.WorkDir, l.opts.PluginJar),
		Env:  list(d.environment), Dir: launch.WorkDir, Output: log,
	})
	if err != nil {
		return nil, fmt.Errorf("%s could not be started: %w; check SPARK_HOME (kyuubi.engineEnv.SPARK_HOME)", submitPath(d.home), err)
	}
	return p, nil
}

// arguments is the constant argument vector. The ref id inside the path marks
// the process.
func arguments(home, workDir, pluginJar string) []string {
	return []string{
		submitPath(home), "--properties-file", filepath.Join(workDir, propertiesFile),
		"--class", mainClass, pluginJar,
	}
}
