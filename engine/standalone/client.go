// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"roundhouse/engine"
)

const (
	pageLimit = 16 << 20 // bytes of a master's page
	// fresh is how long a page serves for all the applications of a cluster.
	fresh = 200 * time.Millisecond
	// freshWait bounds the reading of one page.
	freshWait = 900 * time.Millisecond
)

// Client looks at applications. Its methods are safe for concurrent use.
type Client struct {
	http *http.Client
	mu   sync.Mutex
	last map[string]*reading // by URL of the page
}

// reading is one page, read once for all who want it at the same time.
type reading struct {
	began time.Time
	done  chan struct{} // closed when the rest is there
	page  page
	err   error
}

// NewClient returns a Client, which keeps no connections.
func NewClient() *Client {
	return &Client{
		last: map[string]*reading{},
		http: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       freshWait,
		},
	}
}

// Wish says which application is meant, and whether it is of use without
// executors, as one with dynamic allocation is.
type Wish struct {
	Cluster Cluster
	// ID is the application's id; "" while only its name can tell, which then
	// ends with "_" and the ref id of its engine.
	ID      string
	RefID   string
	Elastic bool
}

// Look finds an application at the active master. It makes an engine.Look.
func (c *Client) Look(ctx context.Context, w Wish) (engine.Application, error) {
	var failures []error
	standby := ""
	for a := range c.ask(ctx, w.Cluster.pages()) {
		switch {
		case a.err != nil:
			failures = append(failures, fmt.Errorf("%s: %w", a.url, a.err))
		case a.page.Status != "ALIVE":
			standby = a.page.Status
		case !w.Cluster.has(a.page.URL):
			failures = append(failures, fmt.Errorf("%s shows %s, not %s; set spark.master.ui.port to the port of the master's web page", a.url, a.page.URL, w.Cluster.URL))
		default:
			return a.page.application(w)
		}
	}
	if standby != "" {
		return engine.Application{}, fmt.Errorf("no master of %s is active, one is %s", w.Cluster.URL, standby)
	}
	return engine.Application{}, errors.Join(failures...)
}

// answer is what one master said.
type answer struct {
	url  string
	page page
	err  error
}

// ask reads the pages of all masters at once and yields them as they come: one
// that does not answer must not use up the time of the active one.
func (c *Client) ask(ctx context.Context, urls []string) iter.Seq[answer] {
	return func(yield func(answer) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		answers := make(chan answer, len(urls))
		for _, url := range urls {
			go func() { // received below, or ends with ctx
				p, err := c.read(ctx, url)
				answers <- answer{url, p, err}
			}()
		}
		for range urls {
			if !yield(<-answers) {
				return
			}
		}
	}
}

// has compares ports only: a master calls itself by a name of its own choice.
func (c Cluster) has(url string) bool {
	own, err := splitPort(strings.TrimPrefix(url, scheme))
	if err != nil {
		return false
	}
	for _, address := range c.masters {
		if port, err := splitPort(address); err == nil && port == own {
			return true
		}
	}
	return false
}

// read returns a page that is fresh, together with others who ask for it.
func (c *Client) read(ctx context.Context, url string) (page, error) {
	c.mu.Lock()
	r := c.last[url]
	if r == nil || time.Since(r.began) > fresh {
		r = &reading{began: time.Now(), done: make(chan struct{})}
		c.last[url] = r
		go c.fetch(url, r) // those who wait for r.done; ends after freshWait at the latest
	}
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.page, r.err
	case <-ctx.Done():
		return page{}, context.Cause(ctx)
	}
}

func (c *Client) fetch(url string, r *reading) {
	defer close(r.done)
	reply, err := c.http.Get(url)
	if err != nil {
		r.err = err
		return
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		r.err = fmt.Errorf("it answered %s", reply.Status)
		return
	}
	if err := json.NewDecoder(io.LimitReader(reply.Body, pageLimit)).Decode(&r.page); err != nil {
		r.err = fmt.Errorf("it is no page of a Spark master: %w", err)
	}
}
