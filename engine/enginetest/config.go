// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"slices"
	"strconv"
	"strings"

	connect "roundhouse/proto/gen/spark/connect"
)

// coreKeys are settings of the launch that a session may not change. The real
// engine refuses every core key that it knows; these are some of them.
var coreKeys = []string{
	"spark.driver.memory", "spark.driver.memoryOverhead", "spark.driver.cores",
	"spark.executor.memory", "spark.executor.memoryOverhead", "spark.executor.cores", "spark.executor.instances",
	"spark.dynamicAllocation.enabled", "spark.plugins", "spark.jars", "spark.submit.pyFiles",
}

// staticKeys are SQL and Connect settings that are fixed at the launch.
var staticKeys = []string{
	"spark.sql.warehouse.dir", "spark.sql.extensions", "spark.sql.catalogImplementation",
	"spark.connect.grpc.binding.port", "spark.connect.grpc.binding.address",
	"spark.sql.artifact.copyFromLocalToFs.allowDestLocal",
}

// Config reads and changes the session's settings.
func (v *service) Config(_ context.Context, r *connect.ConfigRequest) (*connect.ConfigResponse, error) {
	s, err := v.sessions.obtain(callOf(r))
	if err != nil {
		return nil, err
	}
	out := &connect.ConfigResponse{SessionId: s.key.id, ServerSideSessionId: s.serverSide}
	if err := s.configure(r.GetOperation(), out); err != nil {
		return nil, s.failed(err)
	}
	return out, nil
}

// configure does one operation and puts its results into out.
func (s *session) configure(op *connect.ConfigRequest_Operation, out *connect.ConfigResponse) *sparkError {
	switch o := op.GetOpType().(type) {
	case *connect.ConfigRequest_Operation_Set:
		return s.setConfs(o.Set, out)
	case *connect.ConfigRequest_Operation_Unset:
		return s.unsetConfs(o.Unset.Keys)
	case *connect.ConfigRequest_Operation_Get:
		for _, k := range o.Get.Keys {
			value := s.conf(k)
			if value == nil {
				return fail(errConfNotFound, "sqlConf", strconv.Quote(k))
			}
			out.Pairs = append(out.Pairs, &connect.KeyValue{Key: k, Value: value})
		}
	case *connect.ConfigRequest_Operation_GetOption:
		for _, k := range o.GetOption.Keys {
			out.Pairs = append(out.Pairs, &connect.KeyValue{Key: k, Value: s.conf(k)})
		}
	case *connect.ConfigRequest_Operation_GetWithDefault:
		for _, kv := range o.GetWithDefault.Pairs {
			value := s.conf(kv.Key)
			if value == nil {
				value = kv.Value
			}
			out.Pairs = append(out.Pairs, &connect.KeyValue{Key: kv.Key, Value: value})
		}
	case *connect.ConfigRequest_Operation_GetAll:
		out.Pairs = s.confsUnder(o.GetAll.GetPrefix())
	case *connect.ConfigRequest_Operation_IsModifiable:
		for _, k := range o.IsModifiable.Keys {
			_, registered := sqlDefaults[k]
			text := strconv.FormatBool(registered)
			out.Pairs = append(out.Pairs, &connect.KeyValue{Key: k, Value: &text})
		}
	default:
		return fail(errUnsupp, "text", " not supported.")
	}
	return nil
}

func (s *session) setConfs(set *connect.ConfigRequest_Set, out *connect.ConfigResponse) *sparkError {
	for _, kv := range set.Pairs {
		err := checkConf(kv.Key, kv.Value)
		switch {
		case err == nil:
			s.putConf(kv.Key, kv.GetValue())
		case set.GetSilent():
			out.Warnings = append(out.Warnings, "Failed to set "+kv.Key+" to Some("+kv.GetValue()+") due to "+err.message)
		default:
			return err
		}
	}
	return nil
}

// checkConf is the reason why a session may not set a key, nil when it may.
func checkConf(key string, value *string) *sparkError {
	if value == nil {
		return fail(errJava, "text", "requirement failed: value cannot be null for key: "+key)
	}
	if err := checkModifiable(key); err != nil {
		return err
	}
	if _, err := strconv.Atoi(*value); err != nil && key == "spark.sql.shuffle.partitions" {
		return fail(errConfType, "confName", key, "confValue", *value, "confType", "int")
	}
	return nil
}

func checkModifiable(key string) *sparkError {
	switch {
	case slices.Contains(staticKeys, key):
		return fail(errStaticConf, "key", strconv.Quote(key))
	case slices.Contains(coreKeys, key):
		return fail(errCoreConf, "key", strconv.Quote(key), "docroot", "https://spark.apache.org/docs/latest")
	}
	return nil
}

func (s *session) unsetConfs(keys []string) *sparkError {
	for _, k := range keys {
		if err := checkModifiable(k); err != nil {
			return err
		}
		s.mu.Lock()
		delete(s.mu.confs, k)
		s.mu.Unlock()
	}
	return nil
}

func (s *session) putConf(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.confs == nil {
		s.mu.confs = make(map[string]string)
	}
	s.mu.confs[key] = value
}

// conf looks a key up in the session, the engine and Spark's defaults.
func (s *session) conf(key string) *string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, from := range []map[string]string{s.mu.confs, s.manager.opts.Confs, sqlDefaults} {
		if v, ok := from[key]; ok {
			return &v
		}
	}
	return nil
}

// confsUnder lists the settings of session and engine under a prefix, which the
// answer leaves out of the keys.
func (s *session) confsUnder(prefix string) []*connect.KeyValue {
	s.mu.Lock()
	defer s.mu.Unlock()
	merged := make(map[string]string)
	for _, from := range []map[string]string{s.manager.opts.Confs, s.mu.confs} {
		for k, v := range from {
			if rest, ok := strings.CutPrefix(k, prefix); ok {
				merged[rest] = v
			}
		}
	}
	out := make([]*connect.KeyValue, 0, len(merged))
	for k, v := range merged {
		out = append(out, &connect.KeyValue{Key: k, Value: &v})
	}
	slices.SortFunc(out, func(a, b *connect.KeyValue) int { return strings.Compare(a.Key, b.Key) })
	return out
}
