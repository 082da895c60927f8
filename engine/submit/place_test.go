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
	require.Nil(t, b.launcher.Track(spec, "ref-run"), "a local driver has nobody to ask")

	b.base["spark.master"] = "spark://127.0.0.1:17077"
	spec.Options["spark.master.ui.port"] = strconv.Itoa(s.Listener.Addr().(*net.TCPAddr).Port)
	app, err := b.launcher.Track(spec, "ref-wait")(t.Context())
	require.NoError(t, err)
	require.Equal(t, "waiting for resources at spark://127.0.0.1:17077: 0 of 1 cores free", app.Waiting)

	spec.Options["spark.dynamicAllocation.enabled"] = "true"
	app, err = b.launcher.Track(spec, "ref-wait")(t.Context())
	require.NoError(t, err)
	require.Empty(t, app.Waiting, "it needs no executor to begin with")
}
