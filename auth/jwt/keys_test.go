// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
)

// publisher is an issuer that counts how often it is asked.
type publisher struct {
	mu    sync.Mutex
	keys  []jose.JSONWebKey
	err   error
	slow  atomic.Int64 // nanoseconds
	asked atomic.Int64
}

func (p *publisher) publish(ids ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = nil
	for _, id := range ids {
		public, _, _ := ed25519.GenerateKey(rand.Reader)
		p.keys = append(p.keys, jose.JSONWebKey{Key: public, KeyID: id})
	}
}

func (p *publisher) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *publisher) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	p.asked.Add(1)
	select {
	case <-time.After(time.Duration(p.slow.Load())):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys, p.err
}

// running is a set of keys whose run ends with the test, to be called in a
// bubble.
func running(t *testing.T, p *publisher, log *slog.Logger) *keySet {
	t.Helper()
	k := newKeySet("https://i", p.fetch, Options{Refresh: 5 * time.Minute, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	go k.run(ctx) // synctest waits for it
	t.Cleanup(cancel)
	return k
}

func find(t *testing.T, k *keySet, kid string) error {
	t.Helper()
	_, err := k.find(t.Context(), kid, "EdDSA")
	return err
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestUnknownKeys: however many calls miss a key, the issuer is asked once a
// minute.
func TestUnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		p.slow.Store(int64(100 * time.Millisecond))
		p.publish("a")
		k := running(t, p, discard())
		var calls sync.WaitGroup
		for range 1000 {
			calls.Go(func() {
				if err := find(t, k, "a"); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		require.EqualValues(t, 1, p.asked.Load(), "the first call waits for the first fetch")
		for n := range 150 * 10 { // two minutes and a half
			err := find(t, k, fmt.Sprint("unknown ", n))
			require.Error(t, err)
			require.False(t, errs.Is(err, errs.AuthUnavailable), "the issuer answered: %v", err)
			time.Sleep(100 * time.Millisecond)
		}
		require.EqualValues(t, 3, p.asked.Load(), "once a minute")
	})
}

// TestRotation: a new key is found when it is needed, or before.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		p.publish("a")
		k := running(t, p, discard())
		require.NoError(t, find(t, k, "a"))
		p.publish("a", "b")
		require.Error(t, find(t, k, "b"), "it was asked a moment ago")
		time.Sleep(floor)
		require.NoError(t, find(t, k, "b"), "needed")
		p.publish("b", "c")
		asked := p.asked.Load()
		time.Sleep(5*time.Minute + time.Second)
		require.Equal(t, asked+1, p.asked.Load(), "in the background")
		require.NoError(t, find(t, k, "c"))
		require.Error(t, find(t, k, "a"), "withdrawn")
	})
}

// TestIssuerAway: what is known goes on, the rest is refused with a reason that
// is not the caller's, and nobody waits long.
func TestIssuerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := &publisher{err: errors.New("connection refused")}
		k := running(t, p, slog.New(slog.NewTextHandler(&log, nil)))
		err := find(t, k, "a")
		require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
		require.ErrorContains(t, err, "https://i, cannot be asked for its keys")
		p.publish("a")
		p.fail(nil)
		time.Sleep(retryAfter + time.Millisecond)
		require.NoError(t, find(t, k, "a"), "it is back")

		p.fail(errors.New("connection refused"))
		time.Sleep(time.Hour)
		require.NoError(t, find(t, k, "a"), "known")
		require.True(t, errs.Is(find(t, k, "b"), errs.AuthUnavailable))
		require.Equal(t, 2, bytes.Count(log.Bytes(), []byte("cannot be fetched")), "once each time:\n%s", &log)

		p.slow.Store(int64(time.Hour))
		time.Sleep(retryAfter)
		before := time.Now()
		require.True(t, errs.Is(find(t, k, "b"), errs.AuthUnavailable), "it hangs")
		require.LessOrEqual(t, time.Since(before), patience)
		require.NoError(t, find(t, k, "a"))
	})
}

// TestFindObeysItsCaller: whoever gives up does not wait, and it is not held
// against them.
func TestFindObeysItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		p.slow.Store(int64(time.Hour))
		k := running(t, p, discard())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		_, err := k.find(ctx, "a", "EdDSA")
		require.True(t, errs.Is(err, errs.AuthUnavailable), "%v", err)
		require.Equal(t, time.Second, time.Since(before))
	})
}

// TestFit: a key is for algorithms of its kind and size, and for what it says.
func TestFit(t *testing.T) {
	public, _, _ := ed25519.GenerateKey(rand.Reader)
	for name, c := range map[string]struct {
		key       jose.JSONWebKey
		algorithm string
		want      bool
	}{
		"good":              {jose.JSONWebKey{Key: public}, "EdDSA", true},
		"says so":           {jose.JSONWebKey{Key: public, Use: "sig", Algorithm: "EdDSA"}, "EdDSA", true},
		"for encryption":    {jose.JSONWebKey{Key: public, Use: "enc"}, "EdDSA", false},
		"for another":       {jose.JSONWebKey{Key: public, Algorithm: "RS256"}, "EdDSA", false},
		"of another kind":   {jose.JSONWebKey{Key: public}, "RS256", false},
		"a secret":          {jose.JSONWebKey{Key: []byte("secret")}, "HS256", false},
		"nothing, no curve": {jose.JSONWebKey{}, "", false},
	} {
		require.Equal(t, c.want, fit(c.key, c.algorithm), name)
	}
}
