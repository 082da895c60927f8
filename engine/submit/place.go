// SPDX-License-Identifier: Apache-2.0

package submit

import (
	"context"
	"fmt"
	"strings"

	"roundhouse/engine"
	"roundhouse/engine/standalone"
)

// place checks where a driver and its application are to run: the driver here,
// as a child of the gateway. At a standalone master the name of the application
// is all that tells whose it is before the driver registers, so it always ends
// with the ref id.
func (d driver) place(refID string) error {
	master, mode := d.properties["spark.master"], d.properties["spark.submit.deployMode"]
	if mode != "" && mode != "client" {
		return fmt.Errorf("spark.submit.deployMode is %q (spark.master is %q), but engines run in client mode only: "+
			"the gateway watches its drivers as processes of this machine; remove the setting", mode, master)
	}
	if !standalone.Is(master) {
		return nil
	}
	if name := d.properties["spark.app.name"]; !strings.HasSuffix(name, "_"+refID) {
		d.properties["spark.app.name"] = name + "_" + refID
	}
	_, err := d.cluster()
	return err
}

func (d driver) cluster() (standalone.Cluster, error) {
	return standalone.Parse(d.properties["spark.master"], d.properties["spark.master.ui.port"])
}

// reachMaster fails early where a driver would try for a minute.
func (d driver) reachMaster(ctx context.Context) error {
	if !standalone.Is(d.properties["spark.master"]) {
		return nil
	}
	cluster, err := d.cluster()
	if err != nil {
		return err
	}
	return cluster.Reach(ctx)
}

// Track returns how to look at the application of an engine, nil when it has
// none outside of its driver. It is engine.Options.Track.
func (l *Launcher) Track(spec engine.Spec, refID string) (engine.Look, error) {
	d, err := l.driver(engine.Launch{Spec: spec, RefID: refID})
	if err != nil || !standalone.Is(d.properties["spark.master"]) {
		return nil, err
	}
	cluster, err := d.cluster()
	if err != nil {
		return nil, err
	}
	elastic := strings.EqualFold(d.properties["spark.dynamicAllocation.enabled"], "true")
	return func(ctx context.Context, appID string) (engine.Application, error) {
		return l.masters.Look(ctx, standalone.Wish{Cluster: cluster, ID: appID, RefID: refID, Elastic: elastic})
	}, nil
}
