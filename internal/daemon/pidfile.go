// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"roundhouse/internal/process"
)

// Process is what a pid file says about a running daemon.
type Process struct {
	PID int
	// Mark tells this process from a later one with the same pid: when it
	// started (process.Info).
	Mark uint64
	// Started is when the pid file was taken.
	Started time.Time
	// Notes are what the daemon says about itself, such as its addresses.
	Notes map[string]string
}

// ErrNotRunning says that no daemon holds the pid file.
var ErrNotRunning = errors.New("not running")

// RunningError says that another process holds the pid file.
type RunningError struct {
	Path string
	// PID of the holder; 0 when the file does not tell yet.
	PID int
}

// Error names the holder and what to do.
func (e *RunningError) Error() string {
	return fmt.Sprintf("already running (pid %d, pid file %s); stop it first, or set KYUUBI_PID_DIR to run a second one", e.PID, e.Path)
}

// PIDFile is a pid file held by this process.
type PIDFile struct {
	file    *os.File
	process Process
	size    int // of what was written last
}

// Hold takes the pid file for this process, in a directory that it makes when
// absent. The error is a *RunningError when another process holds it.
func Hold(path string) (*PIDFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of the pid file (KYUUBI_PID_DIR): %w", err)
	}
	file, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	self, err := process.Inspect(os.Getpid())
	if err != nil {
		file.Close()
		return nil, err
	}
	p := &PIDFile{file: file, process: Process{PID: os.Getpid(), Mark: self.Start, Started: time.Now()}}
	if err := p.Note(nil); err != nil {
		file.Close()
		return nil, err
	}
	return p, nil
}

// lockFile opens and locks path. A holder that ends removes its file, so the
// file locked may be gone from the directory already: then it tries again.
func lockFile(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("opening the pid file (KYUUBI_PID_DIR): %w", err)
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			file.Close()
			return nil, lockError(path, err)
		}
		if sameFile(file, path) {
			return file, nil
		}
		file.Close()
	}
}

func lockError(path string, err error) error {
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("locking the pid file %s: %w", path, err)
	}
	running := &RunningError{Path: path}
	if p, err := parseFile(path); err == nil {
		running.PID = p.PID
	}
	return running
}

func sameFile(file *os.File, path string) bool {
	held, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(held, named)
}

// Note replaces what the daemon says about itself. Keys and values hold no line
// breaks; keys hold no "=".
func (p *PIDFile) Note(notes map[string]string) error {
	p.process.Notes = maps.Clone(notes)
	data := p.process.format()
	size := len(data)
	// Empty lines cover what was longer, for who reads before the file is cut.
	data = append(data, bytes.Repeat([]byte("\n"), max(0, p.size-size))...)
	if _, err := p.file.WriteAt(data, 0); err != nil {
		return fmt.Errorf("writing the pid file: %w", err)
	}
	if err := p.file.Truncate(int64(size)); err != nil {
		return fmt.Errorf("writing the pid file: %w", err)
	}
	p.size = size
	return nil
}

// Put adds or replaces one note.
func (p *PIDFile) Put(key, value string) error {
	notes := maps.Clone(p.process.Notes)
	if notes == nil {
		notes = map[string]string{}
	}
	notes[key] = value
	return p.Note(notes)
}

// Release removes the file and gives up the lock.
func (p *PIDFile) Release() error {
	return errors.Join(os.Remove(p.file.Name()), p.file.Close())
}

// Find returns the process that the pid file names. The error wraps
// ErrNotRunning when there is no file, or when its process is gone.
func Find(path string) (Process, error) {
	p, err := parseFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Process{}, ErrNotRunning
	}
	if err != nil {
		return Process{}, err
	}
	alive, err := p.Alive()
	if err != nil {
		return Process{}, err
	}
	if !alive {
		return Process{}, fmt.Errorf("%w: pid file %s is left over from process %d, which is gone", ErrNotRunning, path, p.PID)
	}
	return p, nil
}

// Kept is a pid file that can be read when the daemon has removed it. Close it.
type Kept struct{ file *os.File }

// Keep opens the pid file of a daemon that runs.
func Keep(path string) (*Kept, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("opening the pid file: %w", err)
	}
	return &Kept{file}, nil
}

// Notes are what p said last about itself; none if the file is that of a later process.
func (k *Kept) Notes(p Process) (map[string]string, error) {
	const limit = 1 << 20
	data, err := io.ReadAll(io.NewSectionReader(k.file, 0, limit))
	if err != nil {
		return nil, fmt.Errorf("reading the pid file: %w", err)
	}
	found, err := parse(data)
	if err != nil || found.PID != p.PID || found.Mark != p.Mark {
		return nil, err
	}
	return found.Notes, nil
}

// Close gives the file back.
func (k *Kept) Close() error { return k.file.Close() }

// Others are the pid files beside path, of daemons of the same name that other
// users run, with their processes.
func Others(path string) map[string]Process {
	name, _, _ := strings.Cut(filepath.Base(path), "-")
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), name+"-*.pid")) // fails for a broken pattern only
	found := map[string]Process{}
	for _, file := range files {
		if p, err := Find(file); err == nil && file != path {
			found[file] = p
		}
	}
	return found
}

// Alive says whether this very process still runs.
func (p Process) Alive() (bool, error) {
	found, err := process.Inspect(p.PID)
	if errors.Is(err, process.ErrNone) {
		return false, nil
	}
	return err == nil && !found.Ended && found.Start == p.Mark, err
}

func (p Process) format() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d\nmark=%d\nstarted=%s\n", p.PID, p.Mark, p.Started.Format(time.RFC3339))
	for _, key := range slices.Sorted(maps.Keys(p.Notes)) {
		fmt.Fprintf(&b, "%s=%s\n", key, p.Notes[key])
	}
	return b.Bytes()
}

func parseFile(path string) (Process, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Process{}, fmt.Errorf("reading the pid file: %w", err)
	}
	p, err := parse(data)
	if err != nil {
		return Process{}, fmt.Errorf("pid file %s: %w; remove it if no gateway runs", path, err)
	}
	return p, nil
}

func parse(data []byte) (Process, error) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Scan()
	pid, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
	if err != nil || pid <= 0 {
		return Process{}, fmt.Errorf("the first line %q is no process id", lines.Text())
	}
	p := Process{PID: pid, Notes: map[string]string{}}
	for lines.Scan() {
		if err := p.set(lines.Text()); err != nil {
			return Process{}, err
		}
	}
	return p, lines.Err()
}

// set takes one key=value line.
func (p *Process) set(line string) (err error) {
	if line == "" {
		return nil
	}
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		return fmt.Errorf("the line %q is not key=value", line)
	}
	switch key {
	case "mark":
		p.Mark, err = strconv.ParseUint(value, 10, 64)
	case "started":
		p.Started, err = time.Parse(time.RFC3339, value)
	default:
		p.Notes[key] = value
	}
	return err
}
