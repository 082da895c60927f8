// SPDX-License-Identifier: Apache-2.0

package tlsx

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClient(t *testing.T) {
	s, other := newSet(t), newSet(t)
	own, err := s.authority.Client("gateway")
	require.NoError(t, err)
	o := Options{Files: Files{Certificate: s.pair.Certificate, Key: s.pair.Key}, Clients: ClientsRequired, Authorities: s.authority.Files.Certificate}
	server, err := NewServer(o, "test", []string{"h2"}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		client Client
		good   bool
	}{
		"trusts and shows":      {Client{s.authority.Files.Certificate, own.Certificate, own.Key}, true},
		"trusts another":        {Client{other.authority.Files.Certificate, own.Certificate, own.Key}, false},
		"trusts the machine's":  {Client{"", own.Certificate, own.Key}, false},
		"trusts, shows nothing": {Client{s.authority.Files.Certificate, "", ""}, false},
	} {
		config, err := tc.client.Config()
		require.NoError(t, err, name)
		config.ServerName = "gateway.example"
		config.NextProtos = []string{"h2"}
		_, err = served(t, server, config)
		require.Equal(t, tc.good, err == nil, "%s: %v", name, err)
	}
}

func TestClientFilesWithFaults(t *testing.T) {
	s := newSet(t)
	own, err := s.authority.Client("gateway")
	require.NoError(t, err)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err = Client{Authorities: empty}.Config()
	require.ErrorContains(t, err, "empty.pem holds no certificate in PEM form")
	_, err = Client{Authorities: empty + "x"}.Config()
	require.ErrorIs(t, err, os.ErrNotExist)

	part := func(c Client) Part {
		_, err := c.Config()
		var f *Fault
		require.True(t, errors.As(err, &f), "%v", err)
		return f.Part
	}
	require.Equal(t, PartCertificate, part(Client{Certificate: empty, Key: own.Key}))
	require.Equal(t, PartKey, part(Client{Certificate: own.Certificate, Key: s.pair.Key}), "that of another certificate")
	require.NoError(t, os.Chmod(own.Key, 0o644))
	require.Equal(t, PartKey, part(Client{Certificate: own.Certificate, Key: own.Key}))
}
