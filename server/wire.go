// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"roundhouse/auth"
	"roundhouse/auth/issue"
	"roundhouse/conf"
	"roundhouse/discovery/embedded"
	"roundhouse/engine"
	"roundhouse/engine/submit"
	"roundhouse/internal/errs"
	"roundhouse/internal/secret"
	"roundhouse/internal/version"
	"roundhouse/server/frontend"
	"roundhouse/server/metrics"
	"roundhouse/server/people"
	"roundhouse/server/rest"
	"roundhouse/session"
)

const (
	heartbeat         = 10 * time.Second
	unusedSession     = 10 * time.Minute // for sessions opened by REST and never used
	tombstoneKeep     = 24 * time.Hour
	tombstones        = 10_000
	tombstonesPerUser = 1_000
)

// parts is a gateway under construction; undo closes what was opened, when a
// later part fails.
type parts struct {
	Server
	c        *conf.Conf
	registry *metrics.Registry
	metrics  *metrics.Metrics
	planner  *session.Planner
	holds    *frontend.Holds
	sealing  secret.Box
	listener net.Listener // of REST
	tokens   *issue.Issuer
	director *frontend.Director
	undo     []func()
}

// build makes the parts in the order of their needs.
func build(c *conf.Conf, log *slog.Logger) (*Server, error) {
	p := &parts{c: c, registry: metrics.NewRegistry()}
	p.log, p.ready, p.since = log, make(chan struct{}), time.Now()
	steps := []func() error{p.makeMetrics, p.makeAudit, p.openStore, p.listenREST, p.makeAuth, p.makeTokens, p.makeEngines, p.makeSessions, p.makeFrontend, p.makeREST}
	for _, step := range steps {
		if err := step(); err != nil {
			for _, undo := range slices.Backward(p.undo) {
				undo()
			}
			return nil, err
		}
	}
	return &p.Server, nil
}

func (p *parts) makeMetrics() (err error) {
	if p.metrics, err = metrics.New(p.registry); err != nil {
		return err
	}
	return metrics.RegisterProcess(p.registry)
}

func (p *parts) openStore() (err error) {
	self, err := thisProcess()
	if err != nil {
		return err
	}
	p.peers = newPeers(self)
	if p.c.Clustered() {
		err = p.joinCluster()
	} else {
		err = p.openEmbedded()
	}
	if err != nil {
		return err
	}
	p.undo = append(p.undo, func() { _ = p.store.Close() })
	return nil
}

func (p *parts) openEmbedded() error {
	store, err := embedded.Open(embedded.Options{Dir: conf.ServerDataDir.Get(p.c)})
	if err != nil {
		return fmt.Errorf("%w (%s)", err, conf.ServerDataDir.Key)
	}
	p.store = records{store, store, store, store}
	return nil
}

// listenREST binds the REST port first: drivers are told its address.
func (p *parts) listenREST() (err error) {
	address := net.JoinHostPort(p.c.RESTHost(), strconv.Itoa(conf.RESTBindPort.Get(p.c)))
	if p.listener, err = net.Listen("tcp", address); err != nil {
		return fmt.Errorf("the REST API cannot listen on %s (%s and %s): %w", address, conf.RESTBindHost.Key, conf.RESTBindPort.Key, err)
	}
	p.undo = append(p.undo, func() { _ = p.listener.Close() })
	p.restAddress = reachable(p.listener.Addr(), machine(p.c))
	return nil
}

func (p *parts) makeAuth() (err error) {
	if p.access, err = newAccess(p.c, p.log); err != nil {
		return err
	}
	if p.access.people, err = people.New(context.Background(), p.store, p.log); err != nil {
		return err
	}
	if p.auth, err = newAuthenticator(p.c, p.access, p.log); err != nil {
		return err
	}
	if chain, ok := p.auth.(*auth.Chain); ok {
		p.watchLogins(chain)
	}
	return nil
}

func (p *parts) makeEngines() error {
	secrets, err := secret.Load(p.c.ClusterSecretFile()) // makeTokens has made it
	if err != nil {
		return err
	}
	if p.sealing, err = secret.NewBox(secrets[0], session.SealLabel, secrets[1:]...); err != nil {
		return err
	}
	options := submit.Options{
		WorkRoot:   conf.ServerWorkDir.Get(p.c),
		PluginJar:  pluginJar(p.c),
		GatewayURL: func() string { return "http://" + dialable(p.listener.Addr()) },
		Base:       p.engineBase,
		Times: submit.Times{
			SessionIdle: conf.SessionIdleTimeout.Get(p.c), EngineIdle: conf.EngineIdleTimeout.Get(p.c),
			CheckInterval: conf.EngineCheckInterval.Get(p.c), InitialWait: conf.EngineMaxInitialWait.Get(p.c),
			Lifetime: conf.EngineMaxLifetime.Get(p.c), HeapPercent: conf.EngineMaxHeap.Get(p.c),
		},
		Duration:       conf.ParseDuration,
		MaxMessage:     conf.ConnectMaxMessageSize.Get(p.c),
		FingerprintKey: secret.Derive(secrets[0], secret.LabelFingerprint, ""),
	}
	if p.cluster != nil {
		options.Store, options.Relay = p.engineStore, conf.EngineRelay.Get(p.c)
	}
	launcher, err := submit.New(options)
	if err != nil {
		return err
	}
	p.config = configuration(p.c, launcher.Fingerprint, options.FingerprintKey)
	managed := engine.Options{
		Self: p.peers.self, Alive: p.peers.alive, Fingerprint: launcher.Fingerprint,
		Secrets: secrets, Launcher: launcher, Track: launcher.Track, Store: p.store, Log: p.log,
		Files: submit.Files{
			Root: conf.ServerWorkDir.Get(p.c), ReasonSize: conf.EngineErrorMaxSize.Get(p.c), ReasonLines: conf.EngineMaxLogLines.Get(p.c),
		},
		LaunchLimit:       conf.LimitEngineStartup.Get(p.c),
		UserLimit:         conf.LimitEnginesPerUser.Get(p.c),
		GroupLimit:        conf.LimitEnginesPerGroup.Get(p.c),
		Groups:            p.access.groups,
		InitializeTimeout: conf.EngineInitTimeout.Get(p.c),
		Linger:            conf.EngineLaunchLinger.Get(p.c),
		DestroyTimeout:    conf.EngineDestroyTimeout.Get(p.c),
		Heartbeat:         heartbeat,
		LogTimeout:        conf.EngineLogTimeout.Get(p.c),
		MaxMessage:        conf.ConnectMaxMessageSize.Get(p.c),
		OnSessionClosed: func(refID, user, id, reason string) bool {
			return p.sessions.SessionClosed(refID, user, id, reason)
		},
		OnCensus:   func(refID string, c engine.Census) { p.sessions.Census(refID, c) },
		OnKnown:    func(refID string) { p.sessions.EngineKnown(refID) },
		OnForged:   func(string) { p.metrics.NodeRejected(metrics.RejectedInvalid) },
		OnSpawn:    p.metrics.LaunchStarted,
		OnLaunch:   p.launchEnded,
		OnStopping: func(refID string) { p.sessions.EngineStopping(refID) },
		OnChange:   p.auditEngine,
	}
	if p.cluster != nil {
		managed.Cluster = p.cluster
	}
	p.engines, err = engine.NewManager(managed)
	return err
}

func (p *parts) launchEnded(took time.Duration, err error) {
	switch {
	case err == nil:
		p.metrics.LaunchSucceeded(took)
	case errors.Is(err, engine.ErrCancelled):
		p.metrics.LaunchFailed(metrics.LaunchCancelled)
	case errs.Is(err, errs.EngineLaunchTimeout):
		p.metrics.LaunchFailed(metrics.LaunchTimeout)
	default:
		p.metrics.LaunchFailed(metrics.LaunchError)
	}
}

// engineBase is the configuration of the engines of a user.
func (p *parts) engineBase(user string) map[string]string {
	base := p.c.EngineBase(user)
	if python := venvPython(sparkHome(p.c)); base[conf.PythonVariable] == "" && python != "" {
		base[conf.PythonVariable] = python
	}
	return base
}

// enginePython tells the minor version of the Python that an engine with these
// launch options of a user would have.
func (p *parts) enginePython() func(user string, launch map[string]string) string {
	known := pythons{log: p.log}
	of := func(user string, launch map[string]string) string {
		path := launch[conf.PythonVariable]
		if path == "" {
			path = p.engineBase(user)[conf.PythonVariable]
		}
		return known.minor(path)
	}
	of("", nil) // most users have this one: no session waits for its answer
	return of
}

func (p *parts) makeSessions() (err error) {
	p.sessions, err = session.NewManager(session.Options{
		Gateway: p.peers.self.Gateway, Namespace: conf.HANamespace.Get(p.c),
		Lock: p.store, Follow: p.store, Alive: p.peers.lives, EngineGone: p.engines.Gone, Unusable: p.engines.Unusable,
		Engines: sessionEngines{p.engines}, Store: p.store, Box: p.sealing, Log: p.log,
		Hold:   conf.ConnectMaxHold.Get(p.c),
		Linger: conf.EngineLaunchLinger.Get(p.c),
		Unused: unusedSession, TombstoneKeep: tombstoneKeep, Tombstones: tombstones, TombstonesPerUser: tombstonesPerUser,
		Limits: sessionLimits(p.c),
		Opened: p.metrics.SessionOpened, Failed: p.metrics.SessionFailed,
		OnOpened: p.auditOpened, OnEnded: p.auditEnded,
	})
	p.planner = &session.Planner{
		Resolver:  conf.NewResolver(p.c),
		Namespace: conf.HANamespace.Get(p.c),
		Python:    p.enginePython(),
		PythonFor: p.c.EnginePython,
		OnlyUser:  onlyUser(p.c),
		Groups:    p.access.groups, ServerUser: serverUser(), Refused: refusedGroups(p.c),
		Permit: p.access.permit,
	}
	return err
}

func (p *parts) makeFrontend() error {
	port, err := p.secure(p.c.ConnectTLS(), "Spark Connect", "h2")
	if err != nil {
		return err
	}
	p.holds = frontend.NewHolds(conf.LimitHeldCallsPerUser.Get(p.c))
	p.director = frontend.NewDirector(frontend.Director{
		Auth: p.auth, Sessions: p.sessions, Planner: p.planner, Keys: p.planner.Resolver, Observer: p.metrics, Log: p.log,
		Discard: p.discard, Limits: callLimits(p.c), Holds: p.holds, Denied: p.access.Denied, Tokens: frontTokens{p.tokens},
		Proxies: acting{p.access, p.sessions}, OnRefused: p.auditRefused,
	})
	p.front, err = frontend.Listen(frontend.ServerOptions{
		Address:      net.JoinHostPort(p.c.ConnectHost(), strconv.Itoa(conf.ConnectBindPort.Get(p.c))),
		TLS:          port,
		MaxMessage:   conf.ConnectMaxMessageSize.Get(p.c),
		DrainTimeout: conf.ServerShutdownTimeout.Get(p.c),
		Strangers:    conf.LimitStrangers.Get(p.c),
		Log:          p.log,
		Director:     p.director,
		Tokens:       frontend.NewTokenDoor(p.director),
	})
	if err != nil {
		return err
	}
	p.undo = append(p.undo, p.front.Close)
	p.address = p.advertised(p.front.Addr())
	return nil
}

// advertised is how clients reach the Spark Connect port.
func (p *parts) advertised(bound net.Addr) string {
	name := conf.FrontendAdvertisedHost.Get(p.c)
	_, port, err := net.SplitHostPort(bound.String())
	if name == "" || err != nil {
		return reachable(bound, machine(p.c))
	}
	return net.JoinHostPort(name, port)
}

// discard ends an engine that does not answer any more.
func (p *parts) discard(refID, why string) {
	ctx, cancel := context.WithTimeout(context.Background(), conf.EngineDestroyTimeout.Get(p.c))
	defer cancel()
	if err := p.engines.Stop(ctx, refID, true, why); err != nil {
		p.log.Warn("a dead engine could not be ended", "engine", refID, "err", err)
	}
}

func (p *parts) makeREST() (err error) {
	states := []string{string(engine.Starting), string(engine.Running), string(engine.Draining), string(engine.Ended)}
	err = metrics.RegisterGauges(p.registry, metrics.Gauges{
		Sessions: func() int { return len(p.sessions.List()) },
		Engines:  func() map[string]int { return countStates(p.engines.Engines()) },
		QueuedLaunches: func() int {
			return len(slices.DeleteFunc(p.engines.Engines(), func(i engine.Info) bool { return !i.Submitted.IsZero() }))
		},
		FreeLaunches: p.engines.FreeLaunches,
		States:       states,
	})
	if err != nil {
		return err
	}
	port, err := p.secure(p.c.RESTTLS(), "REST", "http/1.1")
	if err != nil {
		return err
	}
	users := restPeople{p.access.people, property{calls: p.director, sessions: p.sessions, engines: p.engines}, p.tokens}
	p.people = users
	p.rest, err = rest.New(rest.Options{
		Listener: p.listener, Strangers: conf.LimitStrangers.Get(p.c), TLS: port, CA: p.c.CAFile(), Authenticator: p.auth,
		Tokens: restTokens{p.tokens}, Challenges: challenges(p.auth), Login: login(p.c),
		Sessions: restSessions{p.sessions, p.planner, p.engines, p.holds, p.instance}, Servers: p.servers(),
		Engines: restEngines{p.engines, p.metrics}, Registrar: restEngines{p.engines, p.metrics},
		Denied: p.access.Denied, Access: p.access, OnCall: p.auditCall,
		People:   users,
		Observer: p.metrics, Metrics: metrics.Handler(p.registry),
		Ready:     p.readyErr,
		Hosts:     hosts(p.c),
		Remote:    rest.Remote{Address: p.address, TLS: conf.ConnectSSLEnabled.Get(p.c), Hint: p.rootsHint()},
		Redaction: conf.ServerRedaction.Get(p.c),
		Version:   version.Get().Number,
		Log:       p.log,
	})
	return err
}

// instance is the address of the Connect port of a gateway; of one that is gone, of this
// one, which serves its sessions.
func (p *parts) instance(gateway string) string {
	if g, known := p.peers.named(gateway); known && gateway != p.peers.self.Gateway {
		return g.Address
	}
	return p.address
}

// servers shows the gateways.
func (p *parts) servers() restServers {
	return restServers{
		namespace: "/" + conf.HANamespace.Get(p.c) + "_spark_connect", draining: p.draining.Load, self: p.gateway(), all: p.peers.all, dead: p.peers.dead,
	}
}

// hosts are the names by which callers may address the REST port: the
// advertised one, else that of the machine where it listens on all addresses.
func hosts(c *conf.Conf) []string {
	name := machine(c)
	if name == "" || !wildcard(c.RESTHost()) && conf.FrontendAdvertisedHost.Get(c) == "" {
		return nil
	}
	return []string{name}
}

// machine is the name of this machine for people: the advertised one, else its
// own; "" if it has none.
func machine(c *conf.Conf) string {
	if name := conf.FrontendAdvertisedHost.Get(c); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

func countStates(all []engine.Info) map[string]int {
	counts := map[string]int{}
	for _, i := range all {
		counts[string(i.State)]++
	}
	return counts
}

// pluginJar is kyuubi.session.engine.spark.main.resource, or the jar of the
// installation: lib/ in a distribution, build/ in a checkout. The gateway's home
// may be elsewhere, so the folder above that of the program counts as well.
func pluginJar(c *conf.Conf) string {
	if set := conf.EngineMainResource.Get(c); set != "" {
		return set
	}
	const name = "roundhouse-engine.jar"
	homes := []string{c.Home()}
	if program, err := os.Executable(); err == nil {
		homes = append(homes, filepath.Dir(filepath.Dir(program)))
	}
	for _, home := range homes {
		for _, folder := range []string{"lib", "build"} {
			if jar := filepath.Join(home, folder, name); isFile(jar) {
				return jar
			}
		}
	}
	return filepath.Join(c.Home(), "lib", name)
}
