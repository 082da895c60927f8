// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"hash/crc32"
	"slices"
	"strings"

	connect "roundhouse/proto/gen/spark/connect"
)

func configs(p *probe) {
	r, err := p.setConf("spark.sql.shuffle.partitions", "7", "my.own.key", "x")
	p.answer("set", r, err)
	r, err = p.getConf("spark.sql.shuffle.partitions", "my.own.key")
	p.answer("get", r, err)
	p.see("values", "%s", pairs(r))
	r, err = p.getConf("no.such.key")
	p.answer("get of an unknown key", r, err)
	dflt := "d"
	r, err = p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_GetWithDefault{
		GetWithDefault: &connect.ConfigRequest_GetWithDefault{Pairs: []*connect.KeyValue{
			{Key: "no.such.key", Value: &dflt}, {Key: "my.own.key", Value: &dflt}, {Key: "no.such.key"}}}}})
	p.answer("get with default", r, err)
	p.see("values", "%s", pairs(r))
	r, err = p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_GetOption{
		GetOption: &connect.ConfigRequest_GetOption{Keys: []string{"no.such.key", "my.own.key"}}}})
	p.answer("get option", r, err)
	p.see("values", "%s", pairs(r))
	prefix := "my.own."
	r, err = p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_GetAll{
		GetAll: &connect.ConfigRequest_GetAll{Prefix: &prefix}}})
	p.answer("get all", r, err)
	p.see("values", "%s", pairs(r))
	r, err = p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_IsModifiable{
		IsModifiable: &connect.ConfigRequest_IsModifiable{Keys: []string{
			"spark.sql.shuffle.partitions", "my.own.key", "spark.executor.memory", "spark.sql.warehouse.dir"}}}})
	p.answer("is modifiable", r, err)
	p.see("values", "%s", pairs(r))
	r, err = p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Unset{
		Unset: &connect.ConfigRequest_Unset{Keys: []string{"my.own.key", "no.such.key"}}}})
	p.answer("unset", r, err)
	r, err = p.getConf("my.own.key")
	p.answer("get after unset", r, err)
	r, err = p.getConf("spark.sql.shuffle.partitions", "spark.app.name")
	p.see("get of a server conf", "%s", explain(err))
}

// coreKeys are settings of the launch that clients try to change later.
var coreKeys = []string{"spark.driver.memory", "spark.executor.instances", "spark.executor.cores", "spark.app.name",
	"spark.master", "spark.plugins", "spark.hadoop.fs.defaultFS", "spark.dynamicAllocation.enabled", "spark.yarn.queue",
	"spark.kubernetes.namespace", "spark.jars", "spark.foo.bar", "spark.sql.no.such.key", "spark.sql.extensions",
	"spark.sql.catalogImplementation", "spark.connect.grpc.binding.port", "spark.connect.session.planCompression.threshold",
	"spark.kyuubi.session.idle.timeout", "kyuubi.session.idle.timeout", "spark.executor.memoryOverhead", "spark.executor.no.such.key"}

func configRefusals(p *probe) {
	r, err := p.setConf("spark.executor.memory", "2g")
	p.answer("core conf", r, err)
	r, err = p.setConf("spark.sql.warehouse.dir", "/tmp/x")
	p.answer("static conf", r, err)
	r, err = p.setConf("my.own.key", "1", "spark.executor.memory", "2g")
	p.answer("good then bad", r, err)
	r, err = p.getConf("my.own.key")
	p.see("the good one", "%s %s", pairs(r), explain(err))
	silent, two := true, "2g"
	r, err = p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Set{Set: &connect.ConfigRequest_Set{
		Pairs: []*connect.KeyValue{{Key: "spark.executor.memory", Value: &two}}, Silent: &silent}}})
	p.answer("core conf, silent", r, err)
	p.see("warnings", "%q", r.GetWarnings())
	r, err = p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Unset{
		Unset: &connect.ConfigRequest_Unset{Keys: []string{"spark.executor.memory"}}}})
	p.answer("unset core conf", r, err)
	r, err = p.setConf("spark.sql.shuffle.partitions", "many")
	p.answer("bad value", r, err)
	for _, key := range coreKeys {
		_, err = p.setConf(key, "1")
		p.see("set "+key, "%s", explain(err))
	}
	r, err = p.config(nil)
	p.answer("no operation", r, err)
	r, err = p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Set{Set: &connect.ConfigRequest_Set{
		Pairs: []*connect.KeyValue{{Key: "my.own.key"}}}}})
	p.answer("pair without value", r, err)
}

// clientKeys are the settings that PySpark 4.0 and 4.3 ask for.
var clientKeys = []string{
	"spark.connect.session.planCompression.defaultAlgorithm",
	"spark.connect.session.planCompression.threshold",
	"spark.sql.ansi.enabled",
	"spark.sql.artifact.isolation.alwaysApplyClassloader",
	"spark.sql.artifact.isolation.enabled",
	"spark.sql.connect.serverStacktrace.enabled",
	"spark.sql.execution.arrow.maxRecordsPerBatch",
	"spark.sql.execution.arrow.pyspark.enabled",
	"spark.sql.execution.arrow.pyspark.fallback.enabled",
	"spark.sql.execution.arrow.pyspark.selfDestruct.enabled",
	"spark.sql.execution.arrow.useLargeVarTypes",
	"spark.sql.execution.pandas.convertToArrowArraySafely",
	"spark.sql.execution.pandas.inferPandasDictAsMap",
	"spark.sql.execution.pandas.structHandlingMode",
	"spark.sql.execution.pyspark.binaryAsBytes",
	"spark.sql.execution.pythonUDF.arrow.enabled",
	"spark.sql.execution.pythonUDTF.arrow.enabled",
	"spark.sql.pyspark.inferNestedDictAsStruct.enabled",
	"spark.sql.pyspark.jvmStacktrace.enabled",
	"spark.sql.pyspark.legacy.inferArrayTypeFromFirstElement.enabled",
	"spark.sql.pyspark.legacy.inferMapTypeFromFirstPair.enabled",
	"spark.sql.repl.eagerEval.enabled",
	"spark.sql.repl.eagerEval.maxNumRows",
	"spark.sql.repl.eagerEval.truncate",
	"spark.sql.session.localRelationBatchOfChunksSizeBytes",
	"spark.sql.session.localRelationCacheThreshold",
	"spark.sql.session.localRelationChunkSizeBytes",
	"spark.sql.session.localRelationChunkSizeRows",
	"spark.sql.session.localRelationSizeLimit",
	"spark.sql.session.timeZone",
	"spark.sql.shuffle.partitions",
	"spark.sql.timestampType",
}

func configDefaults(p *probe) {
	for _, key := range clientKeys {
		r, err := p.getConf(key)
		p.see(key, "%s %s", pairs(r), explain(err))
	}
	r, err := p.config(&connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_IsModifiable{
		IsModifiable: &connect.ConfigRequest_IsModifiable{Keys: clientKeys}}})
	p.see("all modifiable", "%v %s", !strings.Contains(pairs(r), "=false"), explain(err))
}

func pairs(r *connect.ConfigResponse) string {
	var out []string
	for _, kv := range r.GetPairs() {
		v := "(none)"
		if kv.Value != nil {
			v = *kv.Value
		}
		out = append(out, kv.Key+"="+v)
	}
	return strings.Join(out, " ")
}

func analyze(p *probe) {
	v, err := p.version()
	p.answer("version", v, err)
	call := func(what string, set func(*connect.AnalyzePlanRequest)) *connect.AnalyzePlanResponse {
		r := &connect.AnalyzePlanRequest{SessionId: p.id, UserContext: p.userContext()}
		set(r)
		a, err := p.stub.AnalyzePlan(p.ctx, r)
		p.answer(what, a, err)
		return a
	}
	a := call("schema", func(r *connect.AnalyzePlanRequest) {
		r.Analyze = &connect.AnalyzePlanRequest_Schema_{Schema: &connect.AnalyzePlanRequest_Schema{Plan: rangePlan(3)}}
	})
	p.see("schema of range", "%s", schema(a.GetSchema().GetSchema()))
	call("explain", func(r *connect.AnalyzePlanRequest) {
		r.Analyze = &connect.AnalyzePlanRequest_Explain_{Explain: &connect.AnalyzePlanRequest_Explain{Plan: rangePlan(3), ExplainMode: connect.AnalyzePlanRequest_Explain_EXPLAIN_MODE_SIMPLE}}
	})
	call("tree string", func(r *connect.AnalyzePlanRequest) {
		r.Analyze = &connect.AnalyzePlanRequest_TreeString_{TreeString: &connect.AnalyzePlanRequest_TreeString{Plan: rangePlan(3)}}
	})
	call("is local", func(r *connect.AnalyzePlanRequest) {
		r.Analyze = &connect.AnalyzePlanRequest_IsLocal_{IsLocal: &connect.AnalyzePlanRequest_IsLocal{Plan: rangePlan(3)}}
	})
	call("is streaming", func(r *connect.AnalyzePlanRequest) {
		r.Analyze = &connect.AnalyzePlanRequest_IsStreaming_{IsStreaming: &connect.AnalyzePlanRequest_IsStreaming{Plan: rangePlan(3)}}
	})
	call("input files", func(r *connect.AnalyzePlanRequest) {
		r.Analyze = &connect.AnalyzePlanRequest_InputFiles_{InputFiles: &connect.AnalyzePlanRequest_InputFiles{Plan: rangePlan(3)}}
	})
	call("semantic hash", func(r *connect.AnalyzePlanRequest) {
		r.Analyze = &connect.AnalyzePlanRequest_SemanticHash_{SemanticHash: &connect.AnalyzePlanRequest_SemanticHash{Plan: rangePlan(3)}}
	})
	call("nothing", func(*connect.AnalyzePlanRequest) {})
	call("schema of nothing", func(r *connect.AnalyzePlanRequest) {
		r.Analyze = &connect.AnalyzePlanRequest_Schema_{Schema: &connect.AnalyzePlanRequest_Schema{}}
	})
}

func schema(d *connect.DataType) string {
	var out []string
	for _, f := range d.GetStruct().GetFields() {
		kind := strings.Fields(strings.ReplaceAll(f.DataType.String(), ":", " "))
		out = append(out, f.Name+" "+kind[0])
	}
	return strings.Join(out, ", ")
}

func artifacts(p *probe) {
	data := []byte("0123456789")
	chunk := func(b []byte, crc int64) *connect.AddArtifactsRequest_ArtifactChunk {
		return &connect.AddArtifactsRequest_ArtifactChunk{Data: b, Crc: crc}
	}
	sum := func(b []byte) int64 { return int64(crc32.ChecksumIEEE(b)) }
	msg := func() *connect.AddArtifactsRequest {
		return &connect.AddArtifactsRequest{SessionId: p.id, UserContext: p.userContext()}
	}
	batch := func(name string, crc int64) *connect.AddArtifactsRequest {
		m := msg()
		m.Payload = &connect.AddArtifactsRequest_Batch_{Batch: &connect.AddArtifactsRequest_Batch{
			Artifacts: []*connect.AddArtifactsRequest_SingleChunkArtifact{{Name: name, Data: chunk(data, crc)}}}}
		return m
	}
	r, err := p.addArtifacts(batch("files/one.txt", sum(data)), batch("cache/abc", sum(data)))
	p.answer("two batches", r, err)
	p.see("summaries", "%s", summaries(r))
	r, err = p.addArtifacts(batch("cache/bad", 17))
	p.answer("wrong crc", r, err)
	p.see("summaries", "%s", summaries(r))

	begin, rest := msg(), msg()
	begin.Payload = &connect.AddArtifactsRequest_BeginChunk{BeginChunk: &connect.AddArtifactsRequest_BeginChunkedArtifact{
		Name: "cache/long", TotalBytes: 20, NumChunks: 2, InitialChunk: chunk(data, sum(data))}}
	rest.Payload = &connect.AddArtifactsRequest_Chunk{Chunk: chunk(data, sum(data))}
	r, err = p.addArtifacts(begin, rest)
	p.answer("chunked", r, err)
	p.see("summaries", "%s", summaries(r))
	r, err = p.addArtifacts(batch("../../etc/x", sum(data)))
	p.answer("path upwards", r, err)
	r, err = p.addArtifacts(batch("files/one.txt", sum(data)))
	p.answer("same file, same bytes", r, err)

	st, err := p.stub.ArtifactStatus(p.ctx, &connect.ArtifactStatusesRequest{SessionId: p.id, UserContext: p.userContext(),
		Names: []string{"cache/abc", "cache/bad", "cache/long", "cache/none", "files/one.txt"}})
	p.answer("status", st, err)
	var there []string
	for name, s := range st.GetStatuses() {
		if s.Exists {
			there = append(there, name)
		}
	}
	slices.Sort(there)
	p.see("exist", "%v", there)
}

func summaries(r *connect.AddArtifactsResponse) string {
	var out []string
	for _, s := range r.GetArtifacts() {
		ok := " crc bad"
		if s.IsCrcSuccessful {
			ok = " crc ok"
		}
		out = append(out, s.Name+ok)
	}
	return strings.Join(out, ", ")
}
