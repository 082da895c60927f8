// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"errors"
	"sync"

	"roundhouse/discovery"
)

var errClosed = errors.New("discovery: the store is closed")

// watches knows who follows which path.
type watches struct {
	closed  chan struct{}  // closed by close, ends every watcher
	running sync.WaitGroup // the watchers

	mu struct {
		sync.Mutex
		ended bool
		// byPath holds a channel of capacity 1 for each watcher: full means
		// that the path changed since the watcher last looked.
		byPath map[string]map[chan struct{}]struct{}
	}
}

func newWatches() *watches {
	w := &watches{closed: make(chan struct{})}
	w.mu.byPath = map[string]map[chan struct{}]struct{}{}
	return w
}

// add makes a watcher; its end must be told by remove. It fails after close.
func (w *watches) add(path string) (signal chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.ended {
		return nil, errClosed
	}
	if w.mu.byPath[path] == nil {
		w.mu.byPath[path] = map[chan struct{}]struct{}{}
	}
	signal = make(chan struct{}, 1)
	w.mu.byPath[path][signal] = struct{}{}
	w.running.Add(1)
	return signal, nil
}

func (w *watches) remove(path string, signal chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.mu.byPath[path], signal)
	if len(w.mu.byPath[path]) == 0 {
		delete(w.mu.byPath, path)
	}
	w.running.Done()
}

// close ends every watcher and waits for them.
func (w *watches) close() {
	w.mu.Lock()
	if !w.mu.ended {
		w.mu.ended = true
		close(w.closed)
	}
	w.mu.Unlock()
	w.running.Wait()
}

func (w *watches) changed(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for signal := range w.mu.byPath[path] {
		select {
		case signal <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// Watch sends the nodes below path at once and after each change, until ctx or
// the store ends; then it closes the channel.
func (s *Store) Watch(ctx context.Context, path string) (<-chan []discovery.Node, error) {
	signal, err := s.watches.add(path) // before the first look, so that no change is missed
	if err != nil {
		return nil, err
	}
	nodes, err := s.Find(ctx, path)
	if err != nil {
		s.watches.remove(path, signal)
		return nil, err
	}
	lists := make(chan []discovery.Node)
	go func() { // Close waits for it, through remove
		defer s.watches.remove(path, signal)
		defer close(lists)
		s.follow(ctx, path, signal, nodes, lists)
	}()
	return lists, nil
}

// follow offers the newest list that it read until it is taken.
func (s *Store) follow(ctx context.Context, path string, signal <-chan struct{}, newest []discovery.Node, lists chan<- []discovery.Node) {
	offer := lists
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.watches.closed:
			return
		case offer <- newest:
			offer = nil // nothing to offer until the next change
		case <-signal:
			nodes, err := s.Find(ctx, path)
			if err != nil {
				return // ctx ended or the file is gone: the closed channel tells
			}
			newest, offer = nodes, lists
		}
	}
}
