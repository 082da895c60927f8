// SPDX-License-Identifier: Apache-2.0

package enginetest

// fifo is a map that forgets its oldest entry when it is full. It is not safe
// for concurrent use. The zero value is useless; newFIFO makes one.
type fifo[K comparable, V any] struct {
	size  int
	m     map[K]V
	order []K
}

func newFIFO[K comparable, V any](size int) fifo[K, V] { return fifo[K, V]{size: size} }

func (f *fifo[K, V]) has(k K) bool {
	_, ok := f.m[k]
	return ok
}

// put adds an entry, or replaces the value of a known one without renewing it.
func (f *fifo[K, V]) put(k K, v V) {
	if f.m == nil {
		f.m = make(map[K]V)
	}
	if !f.has(k) {
		f.order = append(f.order, k)
	}
	f.m[k] = v
	if len(f.order) > f.size {
		delete(f.m, f.order[0])
		f.order = f.order[1:]
	}
}

// take removes an entry; its slot in the order stays until it is the oldest.
func (f *fifo[K, V]) take(k K) (V, bool) {
	v, ok := f.m[k]
	delete(f.m, k)
	return v, ok
}
