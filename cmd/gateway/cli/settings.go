// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"roundhouse/conf"
	"roundhouse/internal/daemon"
)

// home is where the gateway lives: GATEWAY_HOME, so that it can live beside a
// running Kyuubi, else KYUUBI_HOME, else the folder above that of the program.
func (a *app) home() (string, error) {
	for _, name := range []string{"GATEWAY_HOME", "KYUUBI_HOME"} {
		if dir := a.getenv(name); dir != "" {
			return filepath.Abs(dir)
		}
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the folder of this program (set GATEWAY_HOME to name it): %w", err)
	}
	return filepath.Dir(filepath.Dir(program)), nil
}

func (a *app) files() (daemon.Files, error) {
	home, err := a.home()
	if err != nil {
		return daemon.Files{}, err
	}
	return daemon.Locate(home, "gateway", a.getenv)
}

// settings loads the configuration and checks all of it, with the files,
// folders and programs that it names.
func (a *app) settings() (*conf.Conf, error) {
	home, err := a.home()
	if err != nil {
		return nil, err
	}
	c, err := conf.Load(conf.LoadOptions{Home: home, Overrides: a.overrides, Getenv: a.getenv})
	if err != nil {
		return nil, err
	}
	if err := c.Check(a.getenv); err != nil {
		return nil, err
	}
	if err := a.check(c); err != nil {
		return nil, err
	}
	if !conf.ConnectEnabled.Get(c) {
		return nil, fmt.Errorf("nothing to serve: set kyuubi.frontend.spark.connect.enabled=true in %s", confFile(c))
	}
	return c, nil
}

// confFile is the file to write settings to.
func confFile(c *conf.Conf) string {
	if c.File() != "" {
		return c.File()
	}
	return filepath.Join(c.Dir(), "kyuubi-defaults.conf")
}

func (a *app) validateCommand() *cobra.Command {
	from := ""
	cmd := a.withConf(command("validate", "Check the configuration without starting anything", func(ctx context.Context) error {
		if from != "" {
			return a.reviewFrom(from)
		}
		return a.validate(ctx)
	}))
	cmd.Flags().StringVar(&from, "from", "", "tell what becomes of the configuration folder of an existing Kyuubi")
	cmd.MarkFlagsMutuallyExclusive("from", "conf")
	cmd.Long = `Check the configuration without starting anything: the settings, and the files,
folders and programs that they name. Call it as the user who will run the gateway.`
	return cmd
}

func (a *app) validate(context.Context) error {
	c, err := a.settings()
	if err != nil {
		return err
	}
	a.remark(c)
	a.say("The configuration is valid: %s", describeSource(c))
	if where := conf.HAAddresses.Get(c); where != "" {
		a.say("ZooKeeper (%s) was not asked: this check is offline.", printable(where))
	}
	return nil
}

// remark says what an administrator should know about a valid configuration.
func (a *app) remark(c *conf.Conf) {
	for _, warning := range c.Warnings() {
		fmt.Fprintf(a.stderr, "Warning: %s\n", warning)
	}
	if !c.Authenticates() && conf.AuthNoneAllowRemote.Get(c) {
		fmt.Fprintf(a.stderr, "Warning: %s=true: everybody who reaches the ports of this gateway is believed to be whoever they claim.\n", conf.AuthNoneAllowRemote.Key)
	}
	if c.Authenticates() && conf.EngineAllowGatewayUser.Get(c) {
		fmt.Fprintf(a.stderr, "Warning: %s=true: the Python code of every user can read the files of the gateway, its secrets included.\n", conf.EngineAllowGatewayUser.Key)
	}
	for _, text := range c.Expiries() {
		fmt.Fprintf(a.stderr, "Warning: %s\n", text)
	}
	if who := loneUser(c); who != "" {
		fmt.Fprintf(a.stderr, "Warning: only %s, the gateway's own user, can run anything here: drivers run under that name, so other users are refused until "+
			"%s=true accepts the risk.\n", who, conf.EngineAllowGatewayUser.Key)
	}
	if os.Geteuid() == 0 && a.getenv(quickstartVariable) == "" {
		fmt.Fprintln(a.stderr, "Warning: the gateway runs as root, and so do the drivers with the code of users: give it a user of its own (docs/install.md).")
	}
	if line := c.Summary(); line != "" {
		a.say("%s", line)
	}
}

// quickstartVariable is set by the quickstart, which whoever tries it may run.
const quickstartVariable = "ROUNDHOUSE_QUICKSTART"

// loneUser is the only user who can have an engine, the gateway's own; "" if
// others can, too.
func loneUser(c *conf.Conf) string {
	if !c.Authenticates() || conf.EngineAllowGatewayUser.Get(c) {
		return ""
	}
	return daemon.UserName()
}

func describeSource(c *conf.Conf) string {
	if c.File() == "" {
		return "defaults only, there is no " + confFile(c)
	}
	return c.File()
}
