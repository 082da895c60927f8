// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"roundhouse/internal/daemon"
)

// explain adds what to do to errors of the machine, which name their cause only.
func explain(err error) error {
	var running *daemon.RunningError
	var socket *net.OpError
	switch {
	case errors.As(err, &running):
		return fmt.Errorf("the gateway is %w", err)
	case errors.As(err, &socket) && socket.Op == "listen":
		return explainListen(err, socket)
	case isOutOfReach(err):
		return fmt.Errorf("%w; the gateway runs as uid %d and needs this file or folder: correct its owner or mode, or name another one "+
			"(KYUUBI_LOG_DIR and KYUUBI_PID_DIR in conf/kyuubi-env.sh, kyuubi.server.data.dir)", err, os.Geteuid())
	}
	return err
}

func explainListen(err error, socket *net.OpError) error {
	port := 0
	if tcp, ok := socket.Addr.(*net.TCPAddr); ok {
		port = tcp.Port
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w. Another program has port %d; this shows which one: ss -ltnp 'sport = :%d'. Stop it, or set another port", err, port, port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w. This machine has no such address (ip address lists those it has); 0.0.0.0 stands for all of them", err)
	}
	return err
}

// isOutOfReach says whether a file or folder could not be made, read or written.
func isOutOfReach(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOTDIR))
}
