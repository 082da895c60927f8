// SPDX-License-Identifier: Apache-2.0

package tlsx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// checkInterval is how often Run looks for changed files. A change counts once
	// it has been seen twice, so that the second of two files is there as well.
	checkInterval = time.Second
	// remindInterval is how often the log tells that a certificate expires soon.
	remindInterval = 24 * time.Hour
	// retryInterval is how often files with faults are read again though they did
	// not change: the clock, or the lack of something else, may be the fault.
	retryInterval = 10 * time.Second
	// expiresSoon is what is soon.
	expiresSoon = 30 * 24 * time.Hour
)

// suites are the suites of TLS 1.2 with forward secrecy and authenticated
// encryption; those of TLS 1.3 are not configurable. It is immutable.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Options describe the TLS of one port.
type Options struct {
	Files Files
	// Clients says whether clients are asked for certificates; those that they
	// show are always verified.
	Clients Clients
	// Authorities is the PEM file of the authorities of clients' certificates.
	Authorities string
}

// Clients says whether clients are asked for certificates.
type Clients int

// The possibilities: not asked, asked, or let in with one only.
const (
	ClientsNone Clients = iota
	ClientsOptional
	ClientsRequired
)

// Server is the TLS of one port. Make it with NewServer; it is safe for
// concurrent use.
type Server struct {
	o      Options
	port   string
	protos []string
	log    *slog.Logger
	// begin is the stamp of the files that NewServer read.
	begin   string
	current atomic.Pointer[tls.Config]
}

// NewServer reads the files. The port is named in the log; protos are those of
// ALPN (RFC 7301). The error has a *Fault for each of the files that is wrong.
func NewServer(o Options, port string, protos []string, log *slog.Logger) (*Server, error) {
	s := &Server{o: o, port: port, protos: protos, log: log}
	s.begin = s.stamp()
	return s, s.load()
}

// Config is for a listener; new connections get the files as they were last read.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: s.protos,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return s.current.Load(), nil
		},
	}
}

// Run reads the files again when they changed, until ctx ends. Files with faults
// change nothing, are reported once and read again until they have none. A
// certificate that expires soon is reported every day.
func (s *Server) Run(ctx context.Context) error {
	check, remind := time.NewTicker(checkInterval), time.NewTicker(remindInterval)
	defer check.Stop()
	defer remind.Stop()
	w := watch{seen: s.begin, read: s.begin}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-check.C:
			s.check(&w)
		case <-remind.C:
			s.remind()
		}
	}
}

// watch is what Run remembers: the state of the files that it saw last, that
// which it read last, and when and with what fault, if it had one.
type watch struct {
	seen, read string
	fault      string
	at         time.Time
}

func (s *Server) check(w *watch) {
	now := s.stamp()
	settled := now == w.seen
	w.seen = now
	again := w.fault != "" && time.Since(w.at) >= retryInterval
	if !settled || now == w.read && !again {
		return
	}
	w.read, w.at = now, time.Now()
	if err := s.load(); err != nil {
		if err.Error() != w.fault {
			s.log.Error("new certificate files cannot be used: what has no fault is in use, the rest stays as it was", "port", s.port, "err", err)
		}
		w.fault = err.Error()
		return
	}
	w.fault = ""
	s.log.Info("certificate files read again", "port", s.port, "expires", s.leaf().NotAfter)
	s.remind()
}

func (s *Server) remind() {
	if text := Expiry(s.leaf()); text != "" {
		s.log.Warn(text, "port", s.port)
	}
}

func (s *Server) leaf() *x509.Certificate {
	return s.current.Load().Certificates[0].Leaf
}

// Expiry says that a certificate expires within 30 days; "" if it does not.
func Expiry(leaf *x509.Certificate) string {
	left := time.Until(leaf.NotAfter)
	if left > expiresSoon {
		return ""
	}
	return fmt.Sprintf("the certificate expires on %s, in %d days; put a new one in the place of its files, no restart is needed",
		leaf.NotAfter.Format(time.DateOnly), int(left.Hours()/24))
}

// stamp tells one state of the files from another.
func (s *Server) stamp() string {
	paths := s.o.Files.paths()
	if s.o.Clients != ClientsNone {
		paths = append(paths, s.o.Authorities)
	}
	var b strings.Builder
	for _, path := range paths {
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		fmt.Fprint(&b, st.Ino, st.Size, st.Mode, st.Uid, st.Mtim, err, ";")
	}
	return b.String()
}

// load reads the files. Where the certificate of the port or the authorities of
// clients have a fault, those read before stay: an authority that was withdrawn
// is, whatever is wrong with the rest.
func (s *Server) load() error {
	config := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites, NextProtos: s.protos}
	if old := s.current.Load(); old != nil {
		config.Certificates, config.ClientCAs = old.Certificates, old.ClientCAs
	}
	pair, err := s.o.Files.Load()
	if err == nil {
		config.Certificates = []tls.Certificate{*pair}
	}
	if s.o.Clients != ClientsNone {
		authorities, fault := LoadAuthorities(s.o.Authorities)
		if fault == nil && !authorities.Equal(config.ClientCAs) { // another pool has every certificate judged again
			config.ClientCAs = authorities
		}
		err = errors.Join(err, fault)
		config.ClientAuth = tls.VerifyClientCertIfGiven
		// A resumed connection would not show its certificate again.
		config.SessionTicketsDisabled = true
	}
	if s.o.Clients == ClientsRequired {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if config.Certificates != nil && (config.ClientCAs != nil || s.o.Clients == ClientsNone) {
		s.current.Store(config)
	}
	return err
}

// Trusted says whether clients that trust the authorities of roots, PEM text,
// would trust the port as it is now.
func (s *Server) Trusted(roots []byte) bool {
	return TrustedBy(roots, &s.current.Load().Certificates[0])
}

// TrustedBy says whether clients that trust the authorities of roots, PEM text,
// would trust a certificate; nil stands for the authorities of this machine.
func TrustedBy(roots []byte, pair *tls.Certificate) bool {
	o := x509.VerifyOptions{Intermediates: x509.NewCertPool()}
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			o.Intermediates.AddCert(c)
		}
	}
	if roots != nil {
		o.Roots = x509.NewCertPool()
		o.Roots.AppendCertsFromPEM(roots)
	}
	_, err := pair.Leaf.Verify(o)
	return err == nil
}

// Peer is the client of one connection. It is safe for concurrent use.
type Peer struct {
	server *Server
	shown  []*x509.Certificate
	last   atomic.Pointer[verdict]
}

// verdict is what the authorities of one time say of the certificate of a client.
type verdict struct {
	authorities *x509.CertPool
	good        bool
}

// Peer is the client of a connection whose handshake is over.
func (s *Server) Peer(state tls.ConnectionState) *Peer {
	return &Peer{server: s, shown: state.PeerCertificates}
}

// Certificate is the one that the client proved to have; nil without one, and
// once no authority of the port vouches for it any more.
func (p *Peer) Certificate() *x509.Certificate {
	authorities := p.server.current.Load().ClientCAs
	if len(p.shown) == 0 || authorities == nil {
		return nil
	}
	v := p.last.Load()
	if v == nil || v.authorities != authorities {
		v = &verdict{authorities, vouched(p.shown, authorities)}
		p.last.Store(v)
	}
	if !v.good {
		return nil
	}
	return p.shown[0]
}

// vouched says whether authorities vouch for a client with a certificate, which
// is followed by its intermediates.
func vouched(shown []*x509.Certificate, authorities *x509.CertPool) bool {
	o := x509.VerifyOptions{Roots: authorities, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, c := range shown[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := shown[0].Verify(o)
	return err == nil
}
