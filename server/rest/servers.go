// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// Servers are the gateways that share sessions and engines with this one.
type Servers interface {
	// Servers lists them, this one too, oldest first.
	Servers() []ServerView
}

// ServerView is a gateway as REST shows it.
type ServerView struct {
	// ID is that of the process; "" for a gateway that is alone.
	ID string
	// Namespace is where gateways are in discovery.
	Namespace string
	// Address and REST are the host:port of its two doors.
	Address, REST string
	Version       string
	// Config tells its configuration of engines from those of others; "" where it is not known.
	Config string
	// Place tells machines, and containers on them, apart.
	Place string
	Since time.Time
	// Draining says that it takes no new clients.
	Draining bool
}

// serverData is a gateway in Kyuubi's shape; StartTime is ours.
type serverData struct {
	NodeName   string            `json:"nodeName"`
	Namespace  string            `json:"namespace"`
	Instance   string            `json:"instance"`
	Host       string            `json:"host"`
	Port       int               `json:"port"`
	Attributes map[string]string `json:"attributes"`
	Status     string            `json:"status"`
	StartTime  int64             `json:"startTime"`
}

func (s *Server) listServers(c *call) error {
	list := []serverData{}
	for _, v := range s.o.Servers.Servers() {
		list = append(list, serverJSON(v))
	}
	writeJSON(c.w, http.StatusOK, list)
	return nil
}

func serverJSON(v ServerView) serverData {
	host, port, _ := net.SplitHostPort(v.Address) // an address without a port is all host
	number, _ := strconv.Atoi(port)
	data := serverData{
		NodeName: or(v.ID, v.Address), Namespace: v.Namespace, Instance: v.Address, Host: or(host, v.Address), Port: number,
		Attributes: map[string]string{"version": v.Version, "rest": v.REST, "place": v.Place, "config": v.Config},
		Status:     "Running", StartTime: millis(v.Since),
	}
	if v.Draining {
		data.Status = "Draining"
	}
	return data
}
