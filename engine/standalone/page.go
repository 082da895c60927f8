// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"fmt"
	"strings"

	"roundhouse/engine"
)

// page is what a master tells of itself (Spark's JsonProtocol).
type page struct {
	URL       string        `json:"url"`
	Status    string        `json:"status"`
	Workers   []worker      `json:"workers"`
	Active    []application `json:"activeapps"`
	Completed []application `json:"completedapps"`
}

type worker struct {
	State      string `json:"state"`
	Cores      int    `json:"cores"`
	CoresFree  int    `json:"coresfree"`
	MemoryFree int    `json:"memoryfree"` // MiB
}

type application struct {
	ID     string `json:"id"`
	Start  int64  `json:"starttime"` // ms since 1970
	Name   string `json:"name"`
	State  string `json:"state"`
	Memory int    `json:"memoryperexecutor"` // MiB
}

// application finds the one that is wished for.
func (p page) application(w Wish) (engine.Application, error) {
	if a, ok := w.newest(p.Active); ok {
		found := engine.Application{ID: a.ID, State: a.State, Manager: w.Cluster.URL}
		if a.State == "WAITING" && !w.Elastic {
			found.Waiting = "waiting for resources at " + w.Cluster.URL + ": " + p.shortage(a)
		}
		return found, nil
	}
	if a, ok := w.newest(p.Completed); ok {
		return engine.Application{
			ID: a.ID, State: a.State, Manager: w.Cluster.URL,
			Over: true, Forced: a.State == "KILLED" || a.State == "FAILED",
		}, nil
	}
	return engine.Application{}, engine.ErrNoApplication
}

// newest is the wished-for application that started last. Names are free: who
// may submit there can use one twice, but no id.
func (w Wish) newest(all []application) (newest application, found bool) {
	for _, a := range all {
		if w.means(a) && (!found || a.Start > newest.Start) {
			newest, found = a, true
		}
	}
	return newest, found
}

func (w Wish) means(a application) bool {
	if w.ID != "" {
		return a.ID == w.ID
	}
	return strings.HasSuffix(a.Name, "_"+w.RefID)
}

// shortage says what a waiting application lacks.
func (p page) shortage(a application) string {
	cores, free, alive, largest := 0, 0, 0, 0
	for _, w := range p.Workers {
		if w.State != "ALIVE" {
			continue
		}
		alive++
		cores, free = cores+w.Cores, free+w.CoresFree
		if w.CoresFree > 0 {
			largest = max(largest, w.MemoryFree)
		}
	}
	switch {
	case alive == 0:
		return "it has no worker that is alive"
	case free > 0 && largest < a.Memory:
		return fmt.Sprintf("an executor takes %d MiB, and the largest free place has %d MiB (%d of %d cores free)", a.Memory, largest, free, cores)
	default:
		return fmt.Sprintf("%d of %d cores free", free, cores)
	}
}
