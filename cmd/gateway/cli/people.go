// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"roundhouse/server"
)

// usersPath is where REST has people.
const usersPath = "/api/v1/admin/users/"

// disabledUser and sentence are DisabledUser and Sentence of the REST API.
type (
	disabledUser struct {
		User   string `json:"user"`
		By     string `json:"by"`
		Since  int64  `json:"since"`
		Reason string `json:"reason"`
	}
	sentence struct {
		Message string `json:"message"`
	}
)

func (a *app) userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "user", Short: "Disable, enable and list users", Args: cobra.NoArgs,
		Long: `Disable, enable and list users. A disabled user is refused at once, whoever vouches
for them; running queries are cut, sessions and engines end, tokens are revoked. On the
gateway's own machine its operating system user needs no further credentials.`,
	}
	cmd.AddCommand(a.userDisableCommand(), a.userEnableCommand(), a.userListCommand())
	return cmd
}

// oneUser makes a command about one user.
func oneUser(use, short string, do func(ctx context.Context, user string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return failed(do(cmd.Context(), args[0])) },
	}
}

func (a *app) userDisableCommand() *cobra.Command {
	var f access
	reason := ""
	cmd := oneUser("disable", "Refuse a user from now on and end all that the user has", func(ctx context.Context, user string) error {
		return a.change(ctx, f, user, "disable", map[string]string{"reason": reason})
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, for other administrators")
	f.define(cmd)
	return cmd
}

func (a *app) userEnableCommand() *cobra.Command {
	var f access
	cmd := oneUser("enable", "Let a disabled user in again", func(ctx context.Context, user string) error {
		return a.change(ctx, f, user, "enable", nil)
	})
	f.define(cmd)
	return cmd
}

// change asks for a change of a user and says what was done.
func (a *app) change(ctx context.Context, f access, user, what string, in any) error {
	c, err := a.caller(ctx, f)
	if err != nil {
		return err
	}
	var out sentence
	if err := c.call(ctx, http.MethodPost, usersPath+url.PathEscape(user)+"/"+what, in, &out); err != nil {
		return err
	}
	a.say("%s", printable(out.Message))
	return nil
}

func (a *app) userListCommand() *cobra.Command {
	var f access
	cmd := command("list", "List the disabled users", func(ctx context.Context) error {
		c, err := a.caller(ctx, f)
		if err != nil {
			return err
		}
		var all []disabledUser
		if err := c.call(ctx, http.MethodGet, usersPath+"disabled", nil, &all); err != nil {
			return err
		}
		table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "DISABLED\tSINCE\tBY\tREASON")
		for _, u := range all {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable(u.User), time.UnixMilli(u.Since).UTC().Format(time.DateTime), printable(u.By), reason(u))
		}
		return table.Flush()
	})
	f.define(cmd)
	return cmd
}

// reason is why a user is disabled, if anybody said so, in one line.
func reason(u disabledUser) string {
	if u.Reason == "" {
		return ""
	}
	return strconv.Quote(u.Reason)
}

func (a *app) explainCommand() *cobra.Command {
	var q server.Question
	cmd := a.withConf(command("explain", "Tell what the rules decide about a user, and which of them", func(ctx context.Context) error {
		return a.explainRules(ctx, q)
	}))
	cmd.Long = `Tell what a gateway with these settings decides about a user who has proved who they
are: whether they may connect, act for others and have what they ask for, and which rule
says so. It asks no running gateway; users who were disabled: gateway user list. The exit
code is 0 if all is allowed, else 1.`
	cmd.Flags().StringVar(&q.User, "user", "", "the user")
	cmd.Flags().StringArrayVar(&q.Groups, "group", nil, "a group of the user, may be repeated (default: as the gateway finds them)")
	cmd.Flags().StringVar(&q.From, "from", "", "address of the user's machine")
	cmd.Flags().StringArrayVar(&q.Profiles, "profile", nil, "a profile that the user names, may be repeated")
	cmd.Flags().StringVar(&q.ShareLevel, "share-level", "", "the share level that the user asks for (default: that of the settings)")
	cmd.Flags().StringVar(&q.ProxyUser, "proxy-user", "", "the user to act for")
	if err := cmd.MarkFlagRequired("user"); err != nil { // only fails for an unknown flag
		panic(err)
	}
	return cmd
}

func (a *app) explainRules(ctx context.Context, q server.Question) error {
	c, err := a.settings()
	if err != nil {
		return err
	}
	answer, err := server.Explain(ctx, c, q)
	if err != nil {
		return err
	}
	for _, reason := range answer.Reasons {
		a.say("%s", reason)
	}
	if !answer.Allowed {
		return errors.New("refused")
	}
	return nil
}
