// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"sync"
)

// locks are the launch locks by path. One process holds the store, so they
// live in memory. The zero value is ready.
type locks struct {
	mu     sync.Mutex
	byPath map[string]*pathLock
}

type pathLock struct {
	held chan struct{} // capacity 1: full while the lock is held
	uses int           // holder and waiters, guarded by locks.mu
}

func (l *locks) use(path string) *pathLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byPath == nil {
		l.byPath = map[string]*pathLock{}
	}
	p := l.byPath[path]
	if p == nil {
		p = &pathLock{held: make(chan struct{}, 1)}
		l.byPath[path] = p
	}
	p.uses++
	return p
}

func (l *locks) leave(path string, p *pathLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.uses--
	if p.uses == 0 {
		delete(l.byPath, path)
	}
}

// Lock waits for the lock of path, or for ctx and returns its error. Further
// calls of unlock do nothing.
func (s *Store) Lock(ctx context.Context, path string) (unlock func() error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := s.locks.use(path)
	select {
	case p.held <- struct{}{}:
		return sync.OnceValue(func() error {
			<-p.held
			s.locks.leave(path, p)
			return nil
		}), nil
	case <-ctx.Done():
		s.locks.leave(path, p)
		return nil, ctx.Err()
	}
}
