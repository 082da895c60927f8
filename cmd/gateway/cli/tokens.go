// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// tokensPath is where REST has tokens.
const tokensPath = "/api/v1/tokens"

// tokenRequest, tokenData and newToken are TokenRequest, Token and NewToken of
// the REST API.
type (
	tokenRequest struct {
		User     string   `json:"user,omitempty"`
		Groups   []string `json:"groups,omitempty"`
		Name     string   `json:"name,omitempty"`
		Scope    []string `json:"scope,omitempty"`
		Lifetime string   `json:"lifetime,omitempty"`
	}
	tokenData struct {
		ID         string   `json:"id"`
		User       string   `json:"user"`
		Name       string   `json:"name"`
		Scope      []string `json:"scope"`
		ExpireTime int64    `json:"expireTime"`
		LastTime   int64    `json:"lastTime"`
		RevokeTime int64    `json:"revokeTime"`
		UseTime    int64    `json:"useTime"`
	}
	newToken struct {
		tokenData
		Token  string `json:"token"`
		Remote string `json:"remote"`
		Hint   string `json:"hint"`
	}
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "Make, list and revoke tokens", Args: cobra.NoArgs,
		Long: `Make, list and revoke the tokens that a gateway issues. On the gateway's own
machine its operating system user needs no further credentials.`,
	}
	cmd.AddCommand(a.tokenCreateCommand(), a.tokenListCommand(), a.tokenRevokeCommand())
	return cmd
}

func (a *app) tokenCreateCommand() *cobra.Command {
	var f access
	var wish tokenRequest
	cmd := command("create", "Make a token and print how clients use it", func(ctx context.Context) error {
		c, err := a.caller(ctx, f)
		if err != nil {
			return err
		}
		return a.issue(ctx, c, wish)
	})
	cmd.Annotations = map[string]string{forShell: "yes"}
	cmd.Long = `Make a token and print the line that lets clients use it. It is shown this once.
A token with --name is for a job: it ends when it says, at most after
kyuubi.authentication.token.job.lifetime.max. One without slides while it is used.`
	cmd.Flags().StringVar(&wish.User, "for", "", "the user whom it is for (for administrators)")
	cmd.Flags().StringArrayVar(&wish.Groups, "group", nil, "a group of that user, may be repeated")
	cmd.Flags().StringVar(&wish.Name, "name", "", "a name, for a token of a job")
	cmd.Flags().StringSliceVar(&wish.Scope, "scope", nil, "connect, rest or both (default: both)")
	cmd.Flags().StringVar(&wish.Lifetime, "lifetime", "", "how long it is good, such as 8h or 30d")
	f.define(cmd)
	return cmd
}

func (a *app) loginCommand() *cobra.Command {
	var f access
	cmd := command("login", "Get a token for yourself and print how clients use it", func(ctx context.Context) error {
		if f.user == "" && !f.negotiate && !f.oidc {
			return &exitError{code: ExitUsage, err: errors.New("say who you are: --user <name> asks for the password, --negotiate takes the ticket of kinit, --oidc opens a login in a browser")}
		}
		c, err := a.caller(ctx, f)
		if err != nil {
			return err
		}
		return a.issue(ctx, c, tokenRequest{})
	})
	cmd.Annotations = map[string]string{forShell: "yes"}
	cmd.Long = `Get a token with a password, a Kerberos ticket or a login in a browser, and print
the line that lets Spark Connect clients use it:

  eval "$(gateway login --url https://gateway:10099 --user alice)"
  pyspark`
	f.define(cmd)
	return cmd
}

// issuedToken is the text of a token that a gateway issues.
var issuedToken = regexp.MustCompile(`^rht_[A-Za-z0-9._-]+$`)

// issue gets a token. Standard output has nothing but lines for a shell, in
// which nothing of the answer is run; a token that does not open the Spark Connect
// port stands there alone, for scripts.
func (a *app) issue(ctx context.Context, c *caller, wish tokenRequest) error {
	var t newToken
	if err := c.call(ctx, http.MethodPost, tokensPath, wish, &t); err != nil {
		return err
	}
	switch {
	case !issuedToken.MatchString(t.Token):
		return fmt.Errorf("%s does not answer as a gateway does: what it sent is no token", c.base)
	case t.Remote == "":
		a.say("%s", t.Token)
	default:
		a.say("export SPARK_REMOTE=%s", quoted(t.Remote))
	}
	if c.roots != "" {
		path, err := filepath.Abs(c.roots)
		if err != nil {
			return err
		}
		a.say("export %s=%s", rootsVariable, quoted(path))
	}
	fmt.Fprintf(a.stderr, "The token of %s is good until %s%s.\n", printable(t.User), moment(t.ExpireTime), sliding(t.tokenData))
	switch {
	case c.roots != "" && wish.User != "":
		fmt.Fprintf(a.stderr, "Give %s a copy of %s too, and the path of that copy in %s.\n", printable(wish.User), c.roots, rootsVariable)
	case c.roots == "" && t.Hint != "":
		fmt.Fprintln(a.stderr, printable(t.Hint))
	}
	return nil
}

// quoted is a text as one word for a shell that expands nothing in it.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(printable(text), "'", `'\''`) + "'"
}

// printable is a text of a server without what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

func sliding(t tokenData) string {
	if t.LastTime <= t.ExpireTime {
		return ""
	}
	return fmt.Sprintf(", and longer while a session of its is open, to %s at most", moment(t.LastTime))
}

// moment is a time of REST for people.
func moment(ms int64) string {
	if ms == 0 {
		return "never"
	}
	return time.UnixMilli(ms).Format("2006-01-02 15:04 MST")
}

func (a *app) tokenListCommand() *cobra.Command {
	var f access
	var of string
	cmd := command("list", "List tokens, without what would let anybody use them", func(ctx context.Context) error {
		c, err := a.caller(ctx, f)
		if err != nil {
			return err
		}
		var all []tokenData
		if err := c.call(ctx, http.MethodGet, tokensPath+query(of), nil, &all); err != nil {
			return err
		}
		a.showTokens(all)
		return nil
	})
	cmd.Flags().StringVar(&of, "of", "", "whose tokens (for administrators)")
	f.define(cmd)
	return cmd
}

func query(user string) string {
	if user == "" {
		return ""
	}
	return "?user=" + url.QueryEscape(user)
}

func (a *app) showTokens(all []tokenData) {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tUSER\tNAME\tSCOPE\tGOOD UNTIL\tLAST USED")
	for _, t := range all {
		until := moment(t.ExpireTime)
		switch {
		case t.RevokeTime > 0:
			until = "revoked " + moment(t.RevokeTime)
		case time.UnixMilli(t.ExpireTime).Before(time.Now()):
			until = "expired " + until
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(t.ID), printable(t.User), printable(t.Name), printable(strings.Join(t.Scope, ",")), until, moment(t.UseTime))
	}
	_ = table.Flush() // standard output
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	var f access
	var of string
	cmd := &cobra.Command{
		Use: "revoke [id...]", Short: "Revoke tokens by their ids, or all of a user", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error { return failed(a.revoke(cmd.Context(), f, of, ids)) },
	}
	cmd.Flags().StringVar(&of, "of", "", "revoke all tokens of this user (for administrators)")
	f.define(cmd)
	return cmd
}

func (a *app) revoke(ctx context.Context, f access, of string, ids []string) error {
	if (of == "") == (len(ids) == 0) {
		return &exitError{code: ExitUsage, err: errors.New("name the ids of tokens (`gateway token list` shows them), or with --of a user")}
	}
	paths := []string{tokensPath + query(of)}
	if of == "" {
		paths = nil
	}
	for _, id := range ids {
		paths = append(paths, tokensPath+"/"+url.PathEscape(id))
	}
	var c *caller
	var said string // of those of a user
	for _, path := range paths {
		var err error
		if c == nil || f.negotiate { // a ticket is good for one call
			c, err = a.caller(ctx, f)
		}
		if err != nil {
			return err
		}
		if err := c.call(ctx, http.MethodDelete, path, nil, &said); err != nil {
			return err
		}
	}
	a.say("%s", cmp.Or(strings.TrimSpace(printable(said)), "Revoked."))
	return nil
}
