// SPDX-License-Identifier: Apache-2.0

package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Pair is one option as a client sends it.
type Pair struct {
	Key, Value string
}

// Options are what a session gets. Later layers won: server, defaults of the
// user, profile, client.
type Options struct {
	// Launch are the options that the profile or the client asked for and that
	// make an engine another one, in canonical form, to be laid over
	// Conf.EngineBase.
	// Besides spark.* keys it may hold kyuubi.* ones: idle timeouts from anybody;
	// from profiles any setting of engines, kyuubi.engineEnv.* included.
	Launch map[string]string
	// Session are the options for the Spark session itself, which a profile or
	// the client asked for. They never count for the choice of the engine.
	Session map[string]string
	// Choices are the options of kind Launch that the profile or the client
	// chose, canonical, with those of the gateway (share level, name, ...).
	Choices map[string]string
	// ShareLevel is CONNECTION, USER, GROUP or SERVER.
	ShareLevel string
	// DoAs says that the engine runs in the name of its owner and not of the gateway.
	DoAs bool
	// Subdomain is the explicit one, or "o-" and 12 hex digits of Launch, or the
	// user's or server's own, or "default". Within a pool it is what follows the name of
	// its member, "" or such an "o-".
	Subdomain string
	// Pool is the pool that the session gets an engine of.
	Pool Pool
	// Name is the label of the session; may be empty.
	Name string
}

// Pool are engines of which a session gets one; Size 0 is none.
type Pool struct {
	// Name is kyuubi.engine.pool.name.
	Name string
	// Size is how many engines there are, at most kyuubi.engine.pool.size.threshold.
	Size int
	// Policy is kyuubi.engine.pool.selectPolicy.
	Policy string
}

// DefaultSubdomain is the subdomain of sessions that ask for nothing special.
const DefaultSubdomain = "default"

// Resolver resolves what sessions ask for. It is safe for concurrent use; it
// reads profile files each time, so that a change holds for the next session.
type Resolver struct {
	conf *Conf
}

// NewResolver makes a Resolver over c.
func NewResolver(c *Conf) *Resolver { return &Resolver{conf: c} }

// Resolve lays the options of a client over everything below them. The error
// joins one *OptionError for each option that is refused or has a bad value.
func (r *Resolver) Resolve(user string, client []Pair) (Options, error) {
	if len(client) > maxPairs {
		return Options{}, &OptionError{Key: "list", Invalid: true, Why: fmt.Sprintf("%d options are more than the %d of a session; leave some out", len(client), maxPairs)}
	}
	c := r.conf.ForUser(user)
	o := Options{Launch: map[string]string{}, Session: map[string]string{}, Choices: map[string]string{}}
	wished, runtime, errs := takeClient(c, client)
	if err := o.applyProfiles(c, wished[SessionProfile.Key]); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return Options{}, errors.Join(errs...)
	}
	maps.Copy(o.Session, runtime)
	offered := maps.Clone(o.Choices)
	o.choose(wished)
	o.bound(c, wished)
	o.settle(c)
	if err := o.checkShared(wished, offered); err != nil {
		return Options{}, err
	}
	o.DoAs = EngineDoAs.Get(c)
	if o.ShareLevel == ShareGroup || o.ShareLevel == ShareServer {
		o.DoAs = EngineDoAs.Get(r.conf) // nobody's own default decides for the others
	}
	return o, nil
}

// Chosen says whether the session has this option already, in whatever
// spelling of key and value; options that are no choice of engines are never
// chosen.
func (r *Resolver) Chosen(o Options, p Pair) bool {
	key, err := canonicalKey(p.Key)
	if err != nil {
		return false
	}
	k, ok := allowed[strings.ToLower(key)]
	if !ok {
		return false
	}
	text, err := k.kind(trimBlanks(p.Value), nil)
	own, chosen := o.Choices[key]
	return err == nil && chosen && own == text
}

// takeClient sorts the client's options: session ones into o, launch ones into
// the answer.
func takeClient(c *Conf, client []Pair) (wished, runtime map[string]string, errs []error) {
	wished, runtime = map[string]string{}, map[string]string{}
	for _, p := range client {
		v := classify(c, p.Key)
		switch v.Kind {
		case Refused:
			errs = append(errs, v.Err)
		case Runtime:
			runtime[v.Key] = p.Value
		case Launch:
			text, err := checkValue(v.Key, p.Value, c)
			if err != nil {
				errs = append(errs, err)
			}
			wished[v.Key] = text
		}
	}
	return wished, runtime, errs
}

// What a client may send: more is no configuration but a load.
const (
	maxPairs      = 256
	maxValueBytes = 1024
)

// trimBlanks trims what people type by accident and nothing else: no line ends
// and no exotic spaces.
func trimBlanks(text string) string { return strings.Trim(text, " \t") }

// checkValue gives the canonical form of a launch option's value.
func checkValue(key, text string, limits *Conf) (string, error) {
	text = trimBlanks(text)
	if len(text) > maxValueBytes || strings.ContainsFunc(text, unicode.IsControl) {
		return "", &OptionError{Key: key, Invalid: true, Why: "the value is too long or holds control characters"}
	}
	canonical, err := allowed[strings.ToLower(key)].kind(text, limits)
	if err != nil {
		return "", &OptionError{Key: key, Invalid: true, Why: err.Error()}
	}
	return canonical, nil
}

// choose lays checked choices over those that are there.
func (o *Options) choose(wished map[string]string) {
	for key, text := range wished {
		o.Choices[key] = text
		if inFingerprint[key] {
			o.Launch[key] = text
		}
	}
}

// bound gives a dynamic allocation that a client turns on the ceiling that
// counts for its executors, because Spark's own default is infinity.
func (o *Options) bound(c *Conf, wished map[string]string) {
	const enabled, ceiling = "spark.dynamicAllocation.enabled", "spark.dynamicAllocation.maxExecutors"
	_, chosen := o.Launch[ceiling]
	_, based := c.Raw(ceiling)
	most := MaxExecutors.Get(c)
	if wished[enabled] == "true" && !chosen && !based && most > 0 {
		o.Launch[ceiling] = strconv.Itoa(most)
	}
}

// settle derives what follows from all layers together.
func (o *Options) settle(c *Conf) {
	effective := *c
	effective.values = maps.Clone(c.values)
	for key, text := range o.Choices {
		effective.values[key] = value{text: text}
	}
	o.ShareLevel = EngineShareLevel.Get(&effective)
	o.Name = SessionName.Get(&effective)
	if o.Pool = poolOf(&effective); o.Pool.Size > 0 {
		o.Subdomain = o.madeName()
		return
	}
	o.Subdomain = o.subdomain(c)
}

// poolOf is the pool of a session with these settings.
func poolOf(c *Conf) Pool {
	named := EngineSubdomain.Get(c) != "" && !EnginePoolIgnoreSubdomain.Get(c)
	size := min(EnginePoolSize.Get(c), EnginePoolThreshold.Get(c))
	if size < 1 || named || EngineShareLevel.Get(c) == ShareConnection {
		return Pool{}
	}
	return Pool{Name: EnginePoolName.Get(c), Size: size, Policy: EnginePoolPolicy.Get(c)}
}

func (o *Options) subdomain(c *Conf) string {
	if name := o.Choices[EngineSubdomain.Key]; name != "" {
		return name
	}
	if name := o.madeName(); name != "" {
		return name
	}
	if name := EngineSubdomain.Get(c); name != "" {
		return name
	}
	return DefaultSubdomain
}

// madeName is the subdomain of an engine with the launch options: the same for
// equal options, whoever asked and in whatever order; "" without any.
func (o *Options) madeName() string {
	if len(o.Launch) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(o.Launch)) {
		io.WriteString(sum, key+"\x00"+o.Launch[key]+"\x00") // a hash never fails to write
	}
	return "o-" + hex.EncodeToString(sum.Sum(nil))[:12]
}
