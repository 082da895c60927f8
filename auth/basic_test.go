// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/auth"
)

func TestBasic(t *testing.T) {
	type pair struct{ user, password string }
	for text, want := range map[string]pair{
		"alice:secret": {"alice", "secret"}, "alice:a:b": {"alice", "a:b"}, "älice:pä ss": {"älice", "pä ss"}, "alice@x: ": {"alice@x", " "},
		"alice": {}, "alice:": {}, ":secret": {}, ":": {}, "": {}, "alice:a\x00b": {}, "ali\x00ce:secret": {}, "alice:a\nb": {}, "alice:\xff": {}, "\u0085:x": {},
	} {
		c := auth.Credentials{Scheme: auth.SchemeBasic, Value: base64.StdEncoding.EncodeToString([]byte(text))}
		user, password, ok := c.Basic()
		require.Equal(t, want, pair{user, password}, "%q", text)
		require.Equal(t, want != pair{}, ok, "%q", text)
	}
	for _, c := range []auth.Credentials{
		{Scheme: auth.SchemeBearer, Value: "YWxpY2U6eA=="}, {Scheme: auth.SchemeBasic, Value: "YWxpY2U6eA"}, {Scheme: auth.SchemeBasic, Value: "%%"}, {},
	} {
		_, _, ok := c.Basic()
		require.False(t, ok, "%v", c)
	}
}
