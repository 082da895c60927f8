// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"roundhouse/engine"
)

func TestDriversStayHere(t *testing.T) {
	b := newBench(t, "exec sleep 60")
	for _, master := range []string{"spark://m:7077", "local[2]"} {
		b.base["spark.master"], b.base["spark.submit.deployMode"] = master, "cluster"
		_, err := b.launcher.Start(t.Context(), b.launch())
		require.ErrorContains(t, err, `spark.submit.deployMode is "cluster" (spark.master is "`+master+`"), but engines run in client mode only`)
	}
	delete(b.base, "spark.submit.deployMode")
	b.write(t, "conf/spark-defaults.conf", "spark.submit.deployMode cluster\n", 0o644)
	_, err := b.launcher.Start(t.Context(), b.launch())
	require.ErrorContains(t, err, "engines run in client mode only", "wherever it is set")
	require.NoDirExists(t, b.root, "nothing was started")
}

func TestAMasterThatIsNotThere(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	b := newBench(t, "exec sleep 60")
	b.base["spark.master"] = "spark://" + gone.Addr().String()
	_, err = b.launcher.Start(t.Context(), b.launch())
	require.ErrorContains(t, err, "no master of spark://"+gone.Addr().String()+" can be reached")
	require.NoDirExists(t, b.root)
	b.base["spark.master"] = "spark://nowhere"
	_, err = b.launcher.Start(t.Context(), b.launch())
	require.ErrorContains(t, err, "write spark://host:port")
}

func TestTheApplicationAtAMasterIsNamedAfterItsEngine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	b := newBench(t, `cat spark.properties`)
	b.base["spark.master"], b.base["spark.app.name"] = "spark://"+l.Addr().String(), "mine"
	launch := b.launch()
	require.Contains(t, b.run(t, launch), "spark.app.name=mine_"+launch.RefID)
	inner := newBench(t, `cat spark.properties`)
	inner.base["spark.master"], inner.base["spark.app.name"] = b.base["spark.master"], launch.RefID+"-mine"
	require.Contains(t, inner.run(t, inner.launch()), "spark.app.name="+launch.RefID+"-mine_"+launch.RefID, "the end of the name counts")

	local := newBench(t, `cat spark.properties`)
	local.base["spark.app.name"] = "mine"
	require.Contains(t, local.run(t, local.launch()), "spark.app.name=mine", "elsewhere it is the administrator's alone")
}

func TestTrack(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "standalone", "testdata", "master.json"))
	require.NoError(t, err)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) }))
	defer s.Close()
	b := newBench(t, "exit 1")
	spec := b.launch().Spec
	look, err := b.launcher.Track(spec, "ref-run")
	require.NoError(t, err)
	require.Nil(t, look, "a local driver has nobody to ask")

	b.base["spark.master"] = "spark://127.0.0.1:17077"
	spec.Options["spark.master.ui.port"] = strconv.Itoa(s.Listener.Addr().(*net.TCPAddr).Port)
	ask := func() engine.Application {
		look, err := b.launcher.Track(spec, "ref-wait")
		require.NoError(t, err)
		app, err := look(t.Context(), "")
		require.NoError(t, err)
		return app
	}
	require.Equal(t, "waiting for resources at spark://127.0.0.1:17077: 0 of 1 cores free", ask().Waiting)

	spec.Options["spark.dynamicAllocation.enabled"] = "true"
	require.Empty(t, ask().Waiting, "it needs no executor to begin with")

	b.base["spark.master"] = "spark://nowhere"
	_, err = b.launcher.Track(spec, "ref-wait")
	require.ErrorContains(t, err, "write spark://host:port", "after a restart with other settings somebody must say so")
}
