// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	connect "roundhouse/proto/gen/spark/connect"
)

// The SQL texts that the fake understands, found anywhere in the query:
//
//	rows(N, bytesPerBatch, delayMs)            N rows in batches of that size, each after the delay
//	java_method('java.lang.Thread', 'sleep', N L)   a query that runs for N ms, as in Spark
//	raise_error('text')                        fails when it runs, as in Spark
//	SELECT name                                fails in analysis: there is no such column
//
// Texts that begin with no SQL verb are syntax errors; all others give one row.
var (
	rowsCall  = regexp.MustCompile(`(?i)\brows\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)`)
	sleepCall = regexp.MustCompile(`(?i)java_method\('java\.lang\.Thread',\s*'sleep',\s*(\d+)L\)`)
	raiseCall = regexp.MustCompile(`(?i)raise_error\('([^']*)'\)`)
	column    = regexp.MustCompile(`(?i)^\s*SELECT\s+([a-z_]\w*)\s*$`)
	verb      = regexp.MustCompile(`(?i)^\s*(SELECT|VALUES|WITH|SET|SHOW|DESCRIBE|DESC|EXPLAIN|USE|CREATE|DROP|ALTER|INSERT|CACHE|CLEAR|TABLE|FROM)\b`)
	firstWord = regexp.MustCompile(`\S+`)
)

// work is what an execution does.
type work struct {
	rows, batchRows int64
	before          time.Duration                      // first of all, after the schema
	delay           time.Duration                      // before each batch
	invalid         *sparkError                        // the plan does not pass analysis
	fails           *sparkError                        // after the schema, instead of rows
	reply           func(*connect.ExecutePlanResponse) // of a command, in place of rows
	metrics         bool
}

// run produces the responses, all but result_complete.
func (w work) run(ctx context.Context, emit func(item)) *sparkError {
	if w.invalid != nil {
		return w.invalid
	}
	if w.reply == nil {
		emit(item{kind: kindSchema})
	}
	if !pause(ctx, w.before) {
		return fail(errOperationCanceled)
	}
	if w.fails != nil {
		return w.fails
	}
	if w.reply != nil {
		emit(item{kind: kindReply})
	} else if !w.runBatches(ctx, emit) {
		return fail(errOperationCanceled)
	}
	if w.metrics {
		emit(item{kind: kindMetrics})
	}
	return nil
}

// runBatches produces the rows, one batch at least; false when it was cancelled.
func (w work) runBatches(ctx context.Context, emit func(item)) bool {
	for start := int64(0); start == 0 || start < w.rows; start += w.batchRows {
		if !pause(ctx, w.delay) {
			return false
		}
		emit(item{kind: kindBatch, start: start, rows: min(w.batchRows, w.rows-start)})
	}
	return true
}

// pause waits, or returns false as soon as ctx ends.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// planWork turns a plan into work. Like Spark it leaves errors of analysis to
// the execution, which exists and fails.
func planWork(p *connect.Plan, o Options) work {
	switch op := p.GetOpType().(type) {
	case *connect.Plan_Root:
		return relationWork(op.Root, o)
	case *connect.Plan_Command:
		return commandWork(op.Command)
	case *connect.Plan_CompressedOperation_:
		return oneRow()
	}
	return work{invalid: fail(errNotSet, "fullName", "spark.connect.Plan", "name", "OPTYPE_NOT_SET")}
}

func oneRow() work { return work{rows: 1, batchRows: 1, metrics: true} }

func relationWork(r *connect.Relation, o Options) work {
	switch rel := r.GetRelType().(type) {
	case nil:
		return work{invalid: fail(errNotSet, "fullName", "spark.connect.Relation", "name", "RELTYPE_NOT_SET")}
	case *connect.Relation_Range:
		step := max(rel.Range.Step, 1)
		rows := max(0, (rel.Range.End-rel.Range.GetStart()+step-1)/step)
		return work{rows: rows, batchRows: o.BatchRows, metrics: true}
	case *connect.Relation_Sql:
		return sqlWork(rel.Sql.Query)
	}
	return oneRow()
}

func sqlWork(text string) work {
	w := oneRow()
	if err := analyzeSQL(text); err != nil {
		return work{invalid: err}
	}
	if m := rowsCall.FindStringSubmatch(text); m != nil {
		w.rows, w.batchRows = number(m[1]), max(1, number(m[2])/rowBytes)
		w.delay = time.Duration(number(m[3])) * time.Millisecond
	}
	if m := sleepCall.FindStringSubmatch(text); m != nil {
		w.before = time.Duration(number(m[1])) * time.Millisecond
	}
	if m := raiseCall.FindStringSubmatch(text); m != nil {
		w.fails = fail(errRaised, "errorMessage", m[1])
	}
	return w
}

func analyzeSQL(text string) *sparkError {
	if !verb.MatchString(text) {
		word := "'" + firstWord.FindString(text) + "'"
		return fail(errSyntax, "error", word, "hint", "").
			with("\n", " (line 1, pos 0)\n\n== SQL ==\n"+text+"\n^^^\n")
	}
	if m := column.FindStringSubmatch(text); m != nil && !strings.EqualFold(m[1], "null") {
		return fail(errUnresolved, "objectName", "`"+m[1]+"`").
			with("", "; line 1 pos 7;\n'Project ['"+m[1]+"]\n+- OneRowRelation\n")
	}
	return nil
}

// number reads digits; what does not fit is 0.
func number(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}

func commandWork(c *connect.Command) work {
	switch cmd := c.GetCommandType().(type) {
	case nil:
		return work{invalid: fail(errNotSet, "fullName", "spark.connect.Command", "name", "COMMANDTYPE_NOT_SET")}
	case *connect.Command_SqlCommand:
		return sqlCommandWork(cmd.SqlCommand)
	case *connect.Command_MlCommand:
		return work{reply: func(r *connect.ExecutePlanResponse) {
			r.ResponseType = &connect.ExecutePlanResponse_MlCommandResult{MlCommandResult: &connect.MlCommandResult{}}
		}}
	}
	return work{reply: func(*connect.ExecutePlanResponse) {}}
}

// sqlCommandWork answers a query with its own relation, for the client to
// execute, and runs anything else at once.
func sqlCommandWork(c *connect.SqlCommand) work {
	text := c.GetInput().GetSql().GetQuery()
	if err := analyzeSQL(text); err != nil {
		return work{invalid: err}
	}
	input := c.GetInput()
	eager := !strings.EqualFold(firstWord.FindString(text), "SELECT")
	return work{metrics: eager, reply: func(r *connect.ExecutePlanResponse) {
		r.ResponseType = &connect.ExecutePlanResponse_SqlCommandResult_{
			SqlCommandResult: &connect.ExecutePlanResponse_SqlCommandResult{Relation: input},
		}
	}}
}
