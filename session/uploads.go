// SPDX-License-Identifier: Apache-2.0

package session

// TakeUpload counts n more bytes that were uploaded to the session. If they
// would be more than most (0 means any number) it counts nothing and returns
// false; used is what was counted before.
func (s *Session) TakeUpload(n, most int64) (used int64, ok bool) {
	for {
		used = s.uploaded.Load()
		if most > 0 && used+n > most {
			return used, false
		}
		if s.uploaded.CompareAndSwap(used, used+n) {
			return used, true
		}
	}
}

// ReturnUpload takes back what TakeUpload counted: the engine keeps nothing of
// an upload that failed.
func (s *Session) ReturnUpload(n int64) { s.uploaded.Add(-n) }
