// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"roundhouse/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	c, err := Parse("spark://a:7077,[::1]:7078", "")
	require.NoError(t, err)
	require.Equal(t, []string{"http://a:8080/json/", "http://[::1]:8080/json/"}, c.pages())
	for master, want := range map[string]string{
		"spark://": `"" is not host:port`, "spark://a": `"a" is not host:port`, "spark://a:x": `"x" is no port`,
		"spark://a:7077,": "is not host:port", "spark://:7077": "is not host:port", "spark://a:70770": "is no port",
	} {
		_, err := Parse(master, "")
		require.ErrorContains(t, err, want, master)
		require.ErrorContains(t, err, "write spark://host:port")
	}
	_, err = Parse("spark://a:7077", "http")
	require.EqualError(t, err, `spark.master.ui.port is "http": "http" is no port`)
	require.False(t, Is("local[2]"))
	require.True(t, Is("spark://a:7077"))
}

func TestReach(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	up := l.Addr().String()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	down := gone.Addr().String()
	require.NoError(t, gone.Close())

	c, err := Parse("spark://"+down+","+up, "")
	require.NoError(t, err)
	require.NoError(t, c.Reach(t.Context()), "one of them is enough")
	require.NoError(t, l.Close())
	err = c.Reach(t.Context())
	require.ErrorContains(t, err, "no master of spark://"+down+","+up+" can be reached")
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, "correct spark.master")
}

// master serves a page that a real master wrote, with the changes given.
func master(t *testing.T, changes ...string) (Cluster, *atomic.Int32) {
	t.Helper()
	text, err := os.ReadFile("testdata/master.json")
	require.NoError(t, err)
	page := strings.NewReplacer(changes...).Replace(string(text))
	reads := &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads.Add(1)
		if r.URL.Path != "/json/" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(page))
	}))
	t.Cleanup(s.Close)
	c, err := Parse("spark://127.0.0.1:17077", strconv.Itoa(s.Listener.Addr().(*net.TCPAddr).Port))
	require.NoError(t, err)
	return c, reads
}

func TestApplications(t *testing.T) {
	tests := map[string]struct {
		changes []string
		marker  string
		id      string
		elastic bool
		want    engine.Application
	}{
		"running": {marker: "ref-run", want: engine.Application{ID: "app-20261121112635-0001", State: "RUNNING"}},
		"waiting": {marker: "ref-wait", want: engine.Application{
			ID: "app-20261121112640-0002", State: "WAITING",
			Waiting: "waiting for resources at spark://127.0.0.1:17077: 0 of 1 cores free",
		}},
		"elastic": {marker: "ref-wait", elastic: true, want: engine.Application{ID: "app-20261121112640-0002", State: "WAITING"}},
		"no worker": {
			marker: "ref-wait", changes: []string{`"ALIVE",`, `"DEAD",`},
			want: engine.Application{
				ID: "app-20261121112640-0002", State: "WAITING",
				Waiting: "waiting for resources at spark://127.0.0.1:17077: it has no worker that is alive",
			},
		},
		"no memory": {
			marker: "ref-wait", changes: []string{`"coresfree" : 0`, `"coresfree" : 1`},
			want: engine.Application{
				ID: "app-20261121112640-0002", State: "WAITING",
				Waiting: "waiting for resources at spark://127.0.0.1:17077: an executor takes 2048 MiB, and the largest free place has 512 MiB (1 of 1 cores free)",
			},
		},
		"two of that name": {
			marker: "ref-run", changes: []string{"bob_default_ref-wait", "eve_ref-run"},
			want: engine.Application{
				ID: "app-20261121112640-0002", State: "WAITING",
				Waiting: "waiting for resources at spark://127.0.0.1:17077: 0 of 1 cores free",
			},
		},
		"the id decides": {
			marker: "ref-run", id: "app-20261121112635-0001", changes: []string{"bob_default_ref-wait", "eve_ref-run"},
			want: engine.Application{ID: "app-20261121112635-0001", State: "RUNNING"},
		},
		"killed":   {marker: "ref-killed", want: engine.Application{ID: "app-20261121112600-0000", State: "KILLED", Over: true, Forced: true}},
		"finished": {marker: "ref-killed", changes: []string{"KILLED", "FINISHED"}, want: engine.Application{ID: "app-20261121112600-0000", State: "FINISHED", Over: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := master(t, test.changes...)
			test.want.Manager = c.URL
			got, err := NewClient().Look(t.Context(), Wish{Cluster: c, ID: test.id, RefID: test.marker, Elastic: test.elastic})
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestWhatTellsNothing(t *testing.T) {
	c, _ := master(t)
	_, err := NewClient().Look(t.Context(), Wish{Cluster: c, RefID: "other"})
	require.ErrorIs(t, err, engine.ErrNoApplication)
	shadow, _ := master(t, "alice_default_ref-run", "ref-run_of_eve")
	_, err = NewClient().Look(t.Context(), Wish{Cluster: shadow, RefID: "ref-run"})
	require.ErrorIs(t, err, engine.ErrNoApplication, "the end of the name counts")

	for want, changes := range map[string][]string{
		"no master of spark://127.0.0.1:17077 is active, one is STANDBY":       {`"ALIVE"` + "\n", `"STANDBY"` + "\n"},
		"shows spark://127.0.0.1:7099, not spark://127.0.0.1:17077; set spark": {"spark://127.0.0.1:17077", "spark://127.0.0.1:7099"},
		"it is no page of a Spark master":                                      {"{", "<"},
	} {
		c, _ := master(t, changes...)
		_, err := NewClient().Look(t.Context(), Wish{Cluster: c, RefID: "ref-run"})
		require.ErrorContains(t, err, want)
		require.NotErrorIs(t, err, engine.ErrNoApplication)
	}
	c.uiPort = 1
	_, err = NewClient().Look(t.Context(), Wish{Cluster: c, RefID: "ref-run"})
	require.ErrorContains(t, err, "connection refused")
}

func TestTheActiveMasterAnswers(t *testing.T) {
	c, _ := master(t)
	both := c
	both.masters = []string{"127.0.0.2:17077", "127.0.0.1:17077"} // nobody listens at the first
	got, err := NewClient().Look(t.Context(), Wish{Cluster: both, RefID: "ref-run"})
	require.NoError(t, err)
	require.Equal(t, "RUNNING", got.State)
}

// TestAMasterThatHangsDelaysNobody: a machine that is off answers nothing.
func TestAMasterThatHangsDelaysNobody(t *testing.T) {
	c, _ := master(t)
	hung, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(c.uiPort)))
	require.NoError(t, err)
	defer hung.Close() // it accepts nothing
	both := c
	both.masters = []string{"127.0.0.2:17077", "127.0.0.1:17077"}
	before := time.Now()
	got, err := NewClient().Look(t.Context(), Wish{Cluster: both, RefID: "ref-run"})
	require.NoError(t, err)
	require.Equal(t, "RUNNING", got.State)
	require.Less(t, time.Since(before), freshWait)
}

func TestManyLooksAtOnceReadOnce(t *testing.T) {
	c, reads := master(t)
	client := NewClient()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			_, err := client.Look(context.Background(), Wish{Cluster: c, RefID: "ref-run"})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Less(t, reads.Load(), int32(10))
}
