// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// Where REST has engines and gateways.
const (
	enginesPath = "/api/v1/admin/engine?all=true"
	refreshPath = "/api/v1/admin/engines/refresh"
	serversPath = "/api/v1/admin/server"
)

// runningEngine, retiredEngine and runningServer are of Engine, RetiredEngine and
// ServerData of the REST API what is shown here.
type (
	runningEngine struct {
		RefID         string `json:"refId"`
		User          string `json:"user"`
		Level         string `json:"sharelevel"`
		Subdomain     string `json:"subdomain"`
		State         string `json:"state"`
		Sessions      int    `json:"sessions"`
		SubmitTime    int64  `json:"submitTime"`
		Place         string `json:"place"`
		Configuration string `json:"configuration"`
	}
	retiredEngine struct {
		RefID     string `json:"refId"`
		User      string `json:"user"`
		Subdomain string `json:"subdomain"`
		Sessions  int    `json:"sessions"`
		Reason    string `json:"reason"`
		Error     string `json:"error"`
	}
	runningServer struct {
		Namespace  string `json:"namespace"`
		Instance   string `json:"instance"`
		Status     string `json:"status"`
		StartTime  int64  `json:"startTime"`
		Attributes struct {
			Version string `json:"version"`
			REST    string `json:"rest"`
			Place   string `json:"place"`
			Config  string `json:"config"`
		} `json:"attributes"`
	}
)

func (a *app) enginesCommand() *cobra.Command {
	var f access
	cmd := command("engines", "List the engines of all users", func(ctx context.Context) error { return a.listEngines(ctx, f) })
	f.define(cmd)
	cmd.AddCommand(a.refreshCommand())
	return cmd
}

func (a *app) listEngines(ctx context.Context, f access) error {
	c, err := a.caller(ctx, f)
	if err != nil {
		return err
	}
	var all []runningEngine
	if err := c.call(ctx, http.MethodGet, enginesPath, nil, &all); err != nil {
		return err
	}
	table := a.table("ENGINE", "OWNER", "LEVEL", "SUBDOMAIN", "STATE", "SESSIONS", "AGE", "CONFIGURATION", "PLACE")
	for _, e := range all {
		table.row(e.RefID, e.User, e.Level, e.Subdomain, e.State, strconv.Itoa(e.Sessions), age(e.SubmitTime), cmp.Or(e.Configuration, "unknown"), e.Place)
	}
	return table.Flush()
}

func (a *app) refreshCommand() *cobra.Command {
	var f access
	var of, ref string
	var all, dry, force bool
	cmd := command("refresh", "Replace engines whose configuration has changed, without breaking sessions", func(ctx context.Context) error {
		query := url.Values{"all": {strconv.FormatBool(all)}, "dryRun": {strconv.FormatBool(dry)}, "force": {strconv.FormatBool(force)}}
		if of != "" {
			query.Set("user", of)
		}
		if ref != "" {
			query.Set("refId", ref)
		}
		return a.refreshEngines(ctx, f, query, dry)
	})
	cmd.Long = `Replace engines whose configuration has changed, without breaking sessions: such an engine
takes no new session and ends with its last one; the next session gets a new engine. What counts is the
configuration that gateways read at their start: after an edit restart them first. While gateways have
different configurations nothing is replaced but with --force.`
	cmd.Flags().BoolVar(&all, "all", false, "replace engines too whose configuration has not changed")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "tell which ones, and replace none")
	cmd.Flags().BoolVar(&force, "force", false, "even while gateways have different configurations; that of the one that is asked counts")
	cmd.Flags().StringVar(&of, "of", "", "replace the engines of this user alone")
	cmd.Flags().StringVar(&ref, "engine", "", "replace this engine alone")
	f.define(cmd)
	return cmd
}

func (a *app) refreshEngines(ctx context.Context, f access, query url.Values, dry bool) error {
	c, err := a.caller(ctx, f)
	if err != nil {
		return err
	}
	var retired []retiredEngine
	if err := c.call(ctx, http.MethodPost, refreshPath+"?"+query.Encode(), nil, &retired); err != nil {
		return err
	}
	if len(retired) == 0 {
		a.say("No engine needs to be replaced by the configuration that the gateway read at its start.")
		return nil
	}
	table := a.table("ENGINE", "OWNER", "SUBDOMAIN", "SESSIONS", "REASON")
	var failed []string
	for _, e := range retired {
		if e.Error != "" {
			failed = append(failed, e.RefID+": "+e.Error)
			continue
		}
		table.row(e.RefID, e.User, e.Subdomain, strconv.Itoa(e.Sessions), e.Reason)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if dry {
		a.say("Nothing was changed (--dry-run).")
	} else {
		a.say("They take no new session and end with their last one.")
	}
	if len(failed) > 0 {
		return fmt.Errorf("not replaced, and open to new sessions: %d of them (%s)", len(failed), strings.Join(failed, "; "))
	}
	return nil
}

func (a *app) serversCommand() *cobra.Command {
	var f access
	cmd := command("servers", "List the gateways that share sessions and engines", func(ctx context.Context) error { return a.listServers(ctx, f) })
	f.define(cmd)
	return cmd
}

func (a *app) listServers(ctx context.Context, f access) error {
	c, err := a.caller(ctx, f)
	if err != nil {
		return err
	}
	var all []runningServer
	if err := c.call(ctx, http.MethodGet, serversPath, nil, &all); err != nil {
		return err
	}
	table := a.table("NAMESPACE", "SPARK CONNECT", "REST", "VERSION", "STATUS", "AGE", "CONFIGURATION", "PLACE")
	for _, s := range all {
		table.row(s.Namespace, s.Instance, s.Attributes.REST, s.Attributes.Version, s.Status, age(s.StartTime), cmp.Or(s.Attributes.Config, "unknown"), s.Attributes.Place)
	}
	return table.Flush()
}

// age is how long ago a moment in epoch milliseconds was; "" for none.
func age(since int64) string {
	if since == 0 {
		return ""
	}
	return time.Since(time.UnixMilli(since)).Round(time.Second).String()
}

// table writes columns for people.
type table struct{ *tabwriter.Writer }

func (a *app) table(head ...string) table {
	t := table{tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)}
	t.row(head...)
	return t
}

func (t table) row(cells ...string) {
	for i, cell := range cells {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, printable(cell))
	}
	fmt.Fprintln(t)
}
