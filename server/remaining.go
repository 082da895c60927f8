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
