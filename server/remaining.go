// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"roundhouse/discovery/embedded"
	"roundhouse/internal/process"
)

// EnginesGoOnError says that the engines were to end with their gateway and go on.
type EnginesGoOnError struct {
	// Gateways is how many others serve them.
	Gateways int
}

// Error says it in a sentence without its end.
func (e *EnginesGoOnError) Error() string {
	serve := "another gateway serves them"
	if e.Gateways > 1 {
		serve = fmt.Sprintf("%d other gateways serve them", e.Gateways)
	}
	return "the engines go on, because " + serve + ": stop those with their engines, too; the last one ends all"
}

// endEngines stops the engines, or returns an *EnginesGoOnError.
func (s *Server) endEngines(ctx context.Context) error {
	if others := s.peers.others(); others > 0 {
		return &EnginesGoOnError{Gateways: others}
	}
	s.stopEngines(ctx)
	return nil
}

// Remaining tells of the engines that still run and whose gateway, which had its
// store in dir, has ended: a few words for people about each.
func Remaining(dir string) (engines []string, err error) {
	if _, err := os.Stat(filepath.Join(dir, embedded.FileName)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	store, err := embedded.Open(embedded.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	records, err := store.Engines(context.Background())
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		found, err := process.Inspect(r.PID)
		if r.PID != 0 && err == nil && !found.Ended && found.Start == r.StartTime {
			engines = append(engines, fmt.Sprintf("%s of %s (pid %d)", r.RefID, r.User, r.PID))
		}
	}
	return engines, nil
}
