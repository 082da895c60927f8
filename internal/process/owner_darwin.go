// SPDX-License-Identifier: Apache-2.0

package process

// HasArgument believes it: this system shows arguments in a form that is not
// read here.
func HasArgument(int, string) (bool, error) { return true, nil }

// Own finds no process. A driver that a crash left without a record of its
// process id is met here when it registers.
func Own() ([]int, error) { return nil, nil }
