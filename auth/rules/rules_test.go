// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"context"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const office = `
rules:
  - {name: gone, users: [eve], refuse: true}
  - name: services
    users: [hue]
    from: [10.1.0.0/16, 127.0.0.1]
    proxy-users: [alice, bob]
  - name: analysts
    groups: [analysts]
    profiles: [small, large]
    share-levels: [user]
  - name: nothing special
    everyone: true
    from: [127.0.0.1, "2001:db8::/32"]
    profiles: []
    proxy-users: []
operators:
  - {name: support, users: [olga], of: {everyone: true}, may: [see]}
  - {name: leads, groups: [leads], of: {users: [alice], groups: [analysts]}, may: [see, end]}
`

func parsed(t *testing.T, text string) *Rules {
	t.Helper()
	r, err := Parse([]byte(text))
	require.NoError(t, err)
	return r
}

func TestTheFirstThatFitsDecides(t *testing.T) {
	r := parsed(t, office)
	for name, tt := range map[string]struct {
		user, from string
		groups     []string
		wish       Wish
		why        string
		refused    bool
	}{
		"refused":                    {user: "eve", groups: []string{"analysts"}, from: "127.0.0.1", why: `rule "gone" in line 3 refuses user eve from 127.0.0.1`, refused: true},
		"a service":                  {user: "hue", from: "10.1.7.7", wish: Wish{ProxyUser: "alice"}, why: `rule "services" in line 4`},
		"for somebody else":          {user: "hue", from: "10.1.7.7", wish: Wish{ProxyUser: "carol"}, why: `rule "services" in line 4 does not allow the proxy user "carol", only alice, bob`, refused: true},
		"any profile":                {user: "hue", from: "10.1.7.7", wish: Wish{Profiles: []string{"huge"}}, why: "services"},
		"from elsewhere":             {user: "hue", from: "10.2.7.7", why: "no rule fits user hue from 10.2.7.7", refused: true},
		"in IPv6":                    {user: "dave", from: "2001:db8::9", why: "nothing special"},
		"a group":                    {user: "ann", groups: []string{"x", "analysts"}, from: "10.9.9.9", wish: Wish{Profiles: []string{"small"}, ShareLevel: "USER"}, why: `"analysts"`},
		"another profile":            {user: "ann", groups: []string{"analysts"}, from: "10.9.9.9", wish: Wish{Profiles: []string{"small", "huge"}}, why: `the profile "huge", only small, large`, refused: true},
		"another level":              {user: "ann", groups: []string{"analysts"}, wish: Wish{ShareLevel: "CONNECTION"}, why: `the share level "CONNECTION", only USER`, refused: true},
		"no profile at all":          {user: "dave", from: "127.0.0.1", wish: Wish{Profiles: []string{"small"}}, why: `the profile "small", only none`, refused: true},
		"for nobody":                 {user: "dave", from: "127.0.0.1", wish: Wish{ProxyUser: "alice"}, why: "proxy user", refused: true},
		"a rule with from, nowhere":  {user: "dave", why: "no rule fits user dave", refused: true},
		"a group that is a username": {user: "analysts", from: "10.9.9.9", why: "no rule fits", refused: true},
	} {
		from, _ := netip.ParseAddr(tt.from)
		d := r.Decide(Person{User: tt.user, Groups: tt.groups, From: from}, tt.wish)
		require.Equal(t, !tt.refused, d.Allowed, "%s: %s", name, d.Why)
		require.Contains(t, d.Why, tt.why, name)
	}
	require.True(t, (*Rules)(nil).Decide(Person{User: "eve"}, Wish{ProxyUser: "x", Profiles: []string{"y"}}).Allowed, "no file changes nothing")
}

func TestOperators(t *testing.T) {
	r := parsed(t, office)
	require.True(t, r.Operates("olga", nil, See, "anybody", nil))
	require.False(t, r.Operates("olga", nil, End, "anybody", nil))
	lead := []string{"leads"}
	require.True(t, r.Operates("lea", lead, End, "alice", nil))
	require.True(t, r.Operates("lea", lead, End, "ann", []string{"analysts"}))
	require.False(t, r.Operates("lea", lead, See, "hue", nil))
	require.False(t, r.Operates("ann", []string{"analysts"}, See, "alice", nil))
	require.True(t, r.IsOperator("lea", lead))
	require.False(t, r.IsOperator("ann", nil))
	require.Equal(t, []string{`operator "leads": may [see end] what belongs to users alice groups analysts`}, r.Operations("lea", lead))
	var none *Rules
	require.False(t, none.Operates("root", nil, See, "alice", nil))
	require.False(t, none.IsOperator("root", nil))
}

func TestFaultsHaveTheirLine(t *testing.T) {
	const everyone = "rules:\n  - {name: all, everyone: true}\n"
	for text, want := range map[string]string{
		"":                                     "nobody could connect",
		"rules: []":                            "nobody could connect",
		"rules:\n  - {name: x, user: [a]}":     `line 2: unknown word "user"; did you mean users?`,
		everyone + "limits: 3":                 `line 3: unknown word "limits"; the words here are rules, operators`,
		everyone + "rules: []":                 "already defined",
		"rules:\n  - {everyone: true}":         `line 2: rule "": it has no name`,
		"rules:\n  - {name: x}":                `line 2: rule "x": it is for nobody`,
		"rules:\n  - name: x\n    users: a":    "line 3",
		"rules:\n\n  - {name: x, everyone: 1}": "line 3",
		"rules:\n  - {name: x, users: [a], everyone: true}":                                            "keep one of both",
		"rules:\n  - {name: x, users: [../a]}":                                                         "cannot be used",
		"rules:\n  - {name: x, groups: ['*']}":                                                         "can be no group",
		"rules:\n  - {name: x, everyone: true, from: [10.0.0.1/8]}":                                    "write 10.0.0.0/8",
		"rules:\n  - {name: x, everyone: true, from: [localhost]}":                                     "neither an address nor a network",
		"rules:\n  - {name: x, everyone: true, from: []}":                                              "it would fit nowhere",
		"rules:\n  - {name: x, everyone: true, share-levels: [ALL]}":                                   `there is no level "ALL"`,
		"rules:\n  - {name: x, everyone: true, proxy-users: [a b]}":                                    "proxy-users",
		"rules:\n  - {name: x, everyone: true, refuse: true, profiles: [a]}":                           "mean nothing in it",
		"rules:\n  - {name: x, everyone: true}\n  - {name: y}\n  - {name: z}":                          "line 4: rule \"z\"",
		everyone + "operators:\n  - {name: o, users: [a], may: [see]}":                                 "of: it is for nobody",
		everyone + "operators:\n  - {name: o, users: [a], of: {everyone: true}, may: [end]}":           "it needs see",
		everyone + "operators:\n  - {name: o, users: [a], of: {everyone: true}, may: [see, kill]}":     `there is no "kill"`,
		everyone + "operators:\n  - {name: o, users: [a], of: {everybody: true}, may: [see]}":          `line 4: unknown word "everybody"; the words here are users, groups, everyone`,
		everyone + "---\nrules: []":                                                                    "second document",
		"rules: {a: b}":                                                                                "line 1",
		"rules:\n\t- x":                                                                                "line 2",
		"a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a]\nrules: [" + strings.Repeat("*b, ", 20000) + "]": "",
	} {
		_, err := Parse([]byte(text))
		require.ErrorContains(t, err, want, "%.60s", text)
	}
	_, err := Parse([]byte("rules:\n  - {name: x, everyon: true, form: [a], z: 1}"))
	require.EqualError(t, err, `line 2: unknown word "everyon"; did you mean everyone?; line 2: unknown word "form"; did you mean from?; `+
		`line 2: unknown word "z"; the words here are name, users, groups, everyone, from, refuse, profiles, share-levels, proxy-users`)
}

// TestMessagesKnowEveryWord: a word that they list is known, and one is listed that
// is known.
func TestMessagesKnowEveryWord(t *testing.T) {
	for _, of := range []reflect.Type{reflect.TypeFor[document](), reflect.TypeFor[ruleEntry](), reflect.TypeFor[operatorEntry](), reflect.TypeFor[who]()} {
		var words []string
		for _, field := range reflect.VisibleFields(of) {
			if tag := field.Tag.Get("yaml"); tag == ",inline" {
				words = append(words, wordsOf[field.Type.Name()]...)
			} else if tag != "" {
				words = append(words, tag)
			}
		}
		require.Equal(t, words, wordsOf[of.Name()], of.Name())
	}
}

func TestAFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(text string, age time.Duration) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
	}
	allowed := func(f *File) bool { return f.Rules().Decide(Person{User: "alice"}, Wish{}).Allowed }
	write("rules: [{name: all, everyone: true}]", time.Hour)
	var said bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		f, err := Open(path, slog.New(slog.NewTextHandler(&said, nil)))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		look := func() { time.Sleep(checkInterval); synctest.Wait() }
		look()
		require.True(t, allowed(f))
		require.Empty(t, said.String())
		write("rules: [{name: all, everyone: yes please}]", 30*time.Minute)
		look()
		look()
		require.True(t, allowed(f), "a faulty file changes nothing")
		require.Equal(t, 1, strings.Count(said.String(), "not usable"), said.String())
		write("rules: [{name: none, everyone: true, refuse: true}]", 20*time.Minute)
		look()
		require.False(t, allowed(f))
		require.NoError(t, os.Remove(path))
		look()
		require.False(t, allowed(f), "a missing file opens nothing")
		cancel()
		require.NoError(t, <-ended)
	})
	_, err := Open(filepath.Join(t.TempDir(), "none"), slog.Default())
	require.ErrorContains(t, err, "no such file")
	f, err := Open("", slog.Default())
	require.NoError(t, err)
	require.Nil(t, f.Rules())
}
