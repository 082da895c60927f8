// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"roundhouse/internal/errs"
)

// asker calls one operation with the credentials that it wants.
type asker struct {
	t *testing.T
	described
}

func (a asker) ask(w *world, query, body string, headers ...string) (int, string) {
	a.t.Helper()
	user := "root"
	if a.role() == engine {
		user, headers = "", append([]string{"Authorization", macScheme + "good"}, headers...)
	}
	reply := serve(a.t, options(w)).do(user, a.method, example(a.path)+query, body, headers...)
	if reply.Code >= 400 && a.role() != public {
		message(a.t, reply)
	}
	return reply.Code, reply.Body.String()
}

// TestUndeclaredParametersAreRefused, for each route, and name themselves.
func TestUndeclaredParametersAreRefused(t *testing.T) {
	for _, d := range loadContract(t).calls {
		if d.role() == public {
			continue
		}
		w := aWorld()
		for _, query := range []string{"?refid=x", "?x", "?a=%zz", "?" + strings.Repeat("a", 5000) + "=1"} {
			code, body := asker{t, d}.ask(w, query, d.aBody())
			require.Equal(t, http.StatusBadRequest, code, "%s%s", d.pattern(), query)
			if query == "?refid=x" {
				require.Contains(t, body, "refid")
			}
		}
		require.Empty(t, w.done(), d.pattern())
	}
}

// TestDeclaredParametersAreChecked: given twice, or of the wrong type.
func TestDeclaredParametersAreChecked(t *testing.T) {
	for _, d := range loadContract(t).calls {
		for _, p := range d.op.Parameters {
			if p.Value.In != openapi3.ParameterInQuery {
				continue
			}
			w := aWorld()
			name := p.Value.Name
			code, body := asker{t, d}.ask(w, fmt.Sprintf("?%s=true&%s=true", name, name), "")
			require.Equal(t, http.StatusBadRequest, code, "%s %s twice", d.pattern(), name)
			require.Contains(t, body, name)
			if p.Value.Schema.Value.Type.Is("boolean") {
				code, body = asker{t, d}.ask(w, "?proxyUser=alice&"+name+"=perhaps", "")
				require.Equal(t, http.StatusBadRequest, code, "%s %s=perhaps", d.pattern(), name)
				require.Contains(t, body, name)
			}
			require.Empty(t, w.done(), d.pattern())
			code, _ = asker{t, d}.ask(aWorld(), "?"+name+"=false", "")
			require.NotEqual(t, http.StatusBadRequest, code, "%s %s once", d.pattern(), name)
		}
	}
}

// wrongValue is JSON that is not of the type of a schema.
func wrongValue(s *openapi3.Schema) string {
	if s.Type.Is("string") {
		return `17`
	}
	return `"x"`
}

// wrongShape is a list, or an object where a list is wanted.
func wrongShape(s *openapi3.Schema) string {
	if s.Type.Is("array") {
		return `{}`
	}
	return `[]`
}

// TestBodiesThatAreNotDescribedAreRefused, for each call with a body; those of
// engines may hold more than is known here.
func TestBodiesThatAreNotDescribedAreRefused(t *testing.T) {
	for _, d := range loadContract(t).calls {
		schema := d.body()
		if schema == nil {
			continue
		}
		bodies := []string{`[]`, `"x"`, `null`, `17`, `{`, `{"configs": {}}{}`, `{} {}`, "\x00"}
		for name, property := range schema.Properties {
			bodies = append(bodies, fmt.Sprintf(`{"path":"/p","node":"n",%q:%s}`, name, wrongValue(property.Value)), fmt.Sprintf(`{%q:%s}`, name, wrongShape(property.Value)))
		}
		if strict(schema) {
			bodies = append(bodies, `{"no such field": 1}`, `{"configs": {"a": 1}}`, `{"configs": {}, "x": null}`)
		}
		for _, body := range bodies {
			w := aWorld()
			code, _ := asker{t, d}.ask(w, "", body)
			require.Equal(t, http.StatusBadRequest, code, "%s %s", d.pattern(), body)
			require.Empty(t, w.done(), "%s %s", d.pattern(), body)
		}
		if !strict(schema) {
			code, _ := asker{t, d}.ask(aWorld(), "", `{"path":"/p","node":"n","of a newer engine":[1]}`)
			require.Equal(t, http.StatusOK, code, d.pattern())
		}
	}
}

func TestTheTextNamesTheField(t *testing.T) {
	c := serve(t, options(aWorld()))
	for body, want := range map[string]string{
		`{"config": {}}`:          `[GATEWAY.INVALID_REQUEST] The body has the field "config", which this call does not know.`,
		`{"configs": "a=b"}`:      `[GATEWAY.INVALID_REQUEST] The field configs of the body has the wrong type: string.`,
		`{"configs": {}} {}`:      `[GATEWAY.INVALID_REQUEST] Something follows the JSON object of the body.`,
		`["a"]`:                   `[GATEWAY.INVALID_REQUEST] The body must be a JSON object.`,
		`{"configs": {"a": true}`: `[GATEWAY.INVALID_REQUEST] The body is not the JSON expected here: unexpected EOF.`,
	} {
		require.Equal(t, want, message(t, c.do("alice", "POST", "/api/v1/sessions", body)))
	}
}

func TestLargeAndStrangeBodies(t *testing.T) {
	for _, d := range loadContract(t).calls {
		if d.role() == public {
			continue
		}
		w := aWorld()
		most := maxBody
		if d.role() == engine {
			most = maxEngineBody
		}
		code, _ := asker{t, d}.ask(w, "", strings.Repeat(" ", most+1))
		require.Equal(t, http.StatusRequestEntityTooLarge, code, d.pattern())
		require.Empty(t, w.done())
		if d.body() == nil {
			continue
		}
		for _, header := range [][2]string{
			{"Content-Type", "application/x-www-form-urlencoded"}, {"Content-Type", "text/plain"}, {"Content-Type", "application/json; charset"},
			{"Content-Encoding", "gzip"},
		} {
			code, _ = asker{t, d}.ask(w, "", `{"path":"/p","node":"n"}`, header[0], header[1])
			require.Equal(t, http.StatusUnsupportedMediaType, code, "%s %v", d.pattern(), header)
			require.Empty(t, w.done())
		}
	}
	c := serve(t, options(aWorld()))
	for _, ok := range []struct{ body, kind string }{
		{"", ""}, {"", "text/plain"}, {" \n", ""}, {`{}`, "application/json; charset=utf-8"},
		{`{"protocolVersion": 10, "configs": null}`, "APPLICATION/JSON"}, {`{"configs": {"a": "b"}}`, ""},
		{`{"configs": {"a": "` + strings.Repeat("b", maxBody-22) + `"}}`, ""},
	} {
		require.Equal(t, http.StatusOK, c.do("alice", "POST", "/api/v1/sessions", ok.body, "Content-Type", ok.kind).Code, "%.40s", ok.body)
	}
}

// TestErrorsOfThePartsAreDescribed: what sessions, engines and the registrar
// may answer with. The test of each reply is in client.do.
func TestErrorsOfThePartsAreDescribed(t *testing.T) {
	opening := []*errs.Class{
		errs.OptionNotAllowed, errs.OptionInvalid, errs.LimitExceeded, errs.ShuttingDown, errs.EngineStarting, errs.EngineLaunchFailed,
		errs.EngineLaunchTimeout, errs.PythonMissing, errs.Interrupted, errs.Conflict, errs.EngineUnreachable, errs.PermissionDenied, errs.Internal,
		errs.OutOfResources,
	}
	ending := []*errs.Class{errs.NotFound, errs.Conflict, errs.Internal, errs.PermissionDenied}
	stopping := append(ending, errs.EngineUnreachable, errs.EngineTimeout, errs.ShuttingDown, errs.LimitExceeded)
	for _, tt := range []struct {
		method, target string
		classes        []*errs.Class
	}{
		{"POST", "/api/v1/sessions", opening},
		{"DELETE", "/api/v1/sessions/" + aliceSession, ending},
		{"DELETE", "/api/v1/admin/sessions/" + aliceSession, ending},
		{"DELETE", "/api/v1/admin/engine?proxyUser=alice", stopping},
		{"POST", "/api/v1/admin/engines/refresh", []*errs.Class{errs.Conflict, errs.Internal, errs.EngineUnreachable, errs.EngineTimeout, errs.ShuttingDown}},
	} {
		for _, class := range tt.classes {
			w := aWorld()
			w.openErr = errs.New(class, "Why.")
			w.endErr = w.openErr
			reply := serve(t, options(w)).do("root", tt.method, tt.target, "")
			require.Equal(t, class.HTTPStatus(), reply.Code, "%s %s", tt.target, class.Name())
			busy := reply.Code == http.StatusTooManyRequests || reply.Code == http.StatusServiceUnavailable
			require.Equal(t, busy, reply.Header().Get("Retry-After") != "", "%s %s", tt.target, class.Name())
		}
		w := aWorld()
		w.openErr, w.endErr = context.DeadlineExceeded, context.DeadlineExceeded
		require.Equal(t, http.StatusGatewayTimeout, serve(t, options(w)).do("root", tt.method, tt.target, "").Code)
	}
}
