// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"unicode"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"roundhouse/conf"
	"roundhouse/internal/errs"
	pb "roundhouse/proto/gen/spark/connect"
	"roundhouse/server/proxy"
	"roundhouse/session"
)

// Keys tells what becomes of the options that a client sets.
type Keys interface {
	Classify(user, key string) conf.Verdict
	// Chosen says whether a session has an option already.
	Chosen(o conf.Options, p conf.Pair) bool
}

// warningsField is ConfigResponse.warnings (base.proto).
const warningsField = 3

// maxClientType bounds what is kept of client_type.
const maxClientType = 512

// passedHeaders are the client's metadata that reach the engine; everything
// else, its credentials above all, stays here.
var passedHeaders = [...]string{"traceparent", "tracestate", "x-request-id"}

// maxPassedHeader is the longest value, in bytes, that goes on: an engine
// refuses calls with more than 8 KiB of metadata, and no call should fail for
// what only traces it. W3C asks for no more than 512 bytes of tracestate.
const maxPassedHeader = 1 << 10

func forwardHeader(from metadata.MD) metadata.MD {
	to := metadata.MD{}
	for _, k := range passedHeaders {
		if v := from.Get(k); len(v) > 0 && len(v[0]) <= maxPassedHeader {
			to.Set(k, v[0])
		}
	}
	return to
}

// wishes are the options that come with a call that opens a session: those of
// the connection string, and the pairs of the Config.Set that is the first RPC.
func (d *Director) wishes(c *call) (session.Wishes, error) {
	w := session.Wishes{
		User:   c.key.User,
		Client: printable(string(field(c.req, c.rule.client))),
		Caller: c.id, Address: host(c.Peer),
	}
	var err error
	if _, w.Pairs, err = conf.TakeProxyUser(conf.MetadataPairs(c.Header)); err != nil { // judged before
		return w, errs.Wrap(errs.OptionInvalid, err, "%v.", err)
	}
	set, _, err := parseSet(c)
	if err != nil {
		return w, err
	}
	for _, p := range set.GetPairs() {
		if conf.NamesProxyUser(p.GetKey()) {
			continue
		}
		switch v := d.Keys.Classify(w.User, p.GetKey()); v.Kind {
		case conf.Launch:
			w.Pairs = append(w.Pairs, conf.Pair{Key: p.GetKey(), Value: p.GetValue()})
		case conf.Refused:
			if !v.Err.Unlisted {
				return w, errs.Wrap(errs.OptionNotAllowed, v.Err, "%v.", v.Err)
			}
		}
	}
	return w, nil
}

// parseSet is the Set of a Config request; nil for every other request.
func parseSet(c *call) (*pb.ConfigRequest_Set, *pb.ConfigRequest, error) {
	if c.Method != "Config" {
		return nil, nil, nil
	}
	in := &pb.ConfigRequest{}
	if err := proto.Unmarshal(c.req.Raw(), in); err != nil {
		return nil, nil, errs.Wrap(errs.InvalidRequest, err, "The Config request cannot be read: %v.", err)
	}
	return in.GetOperation().GetSet(), in, nil
}

// configSet takes out of a Set what is not for Spark: launch options that the
// session has are dropped, others are answered with a warning; options that no
// client may set refuse the call.
func (d *Director) configSet(c *call, s *session.Session, r *proxy.Route) error {
	set, in, err := parseSet(c)
	if err != nil {
		return err
	}
	if err := d.checkUnset(s.User, in); err != nil {
		return err
	}
	warnings := s.TakeWarnings()
	if set != nil {
		more, err := d.filterSet(set, s)
		if err != nil {
			return err
		}
		warnings = append(warnings, more...)
		if r.Message, err = proto.Marshal(in); err != nil {
			return errs.Wrap(errs.Internal, err, "The Config request cannot be written.")
		}
	}
	if len(warnings) > 0 {
		r.Edit = func(reply []byte) ([]byte, error) {
			for _, w := range warnings {
				reply = proxy.AppendString(reply, warningsField, w)
			}
			return reply, nil
		}
	}
	return nil
}

// checkUnset refuses to take back a setting that clients may not set: the
// administrator's masking of secrets, for one.
func (d *Director) checkUnset(user string, in *pb.ConfigRequest) error {
	for _, key := range in.GetOperation().GetUnset().GetKeys() {
		if v := d.Keys.Classify(user, key); v.Kind == conf.Refused && !v.Err.Unlisted {
			return errs.Wrap(errs.OptionNotAllowed, v.Err, "%v.", v.Err)
		}
	}
	return nil
}

func (d *Director) filterSet(set *pb.ConfigRequest_Set, s *session.Session) (warnings []string, err error) {
	var kept []*pb.KeyValue
	for _, p := range set.GetPairs() {
		if conf.NamesProxyUser(p.GetKey()) { // judged before
			continue
		}
		v := d.Keys.Classify(s.User, p.GetKey())
		switch {
		case v.Kind == conf.Runtime, v.Kind == conf.Refused && v.Err.Unlisted:
			kept = append(kept, p) // Spark judges it
		case v.Kind == conf.Refused:
			return nil, errs.Wrap(errs.OptionNotAllowed, v.Err, "%v.", v.Err)
		case v.Kind == conf.Launch:
			if !d.Keys.Chosen(s.Plan.Options, conf.Pair{Key: p.GetKey(), Value: p.GetValue()}) {
				warnings = append(warnings, v.Key+" is an option of the engine and this session has its engine: "+
					"the new value has no effect here. Set it when you create a session (after spark.stop()).")
			}
		}
	}
	set.Pairs = kept
	return warnings, nil
}

// printable makes what a client calls itself safe for logs and pages.
func printable(s string) string {
	out := make([]rune, 0, min(len(s), maxClientType))
	for _, r := range s {
		if len(out) == maxClientType {
			break
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
