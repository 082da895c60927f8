// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"
)

// contract is openapi.yaml, which every reply of these tests is held against.
type contract struct {
	doc *openapi3.T
	// calls are all operations, by path and method.
	calls []described
	// mux finds the operation of a request.
	mux *http.ServeMux
}

// described is one operation.
type described struct {
	path   string
	method string
	op     *openapi3.Operation
}

func (d described) pattern() string { return d.method + " " + d.path }

// role is who may call.
func (d described) role() rule {
	text, _ := d.op.Extensions["x-required-role"].(string)
	return rule(text)
}

// query are the names of the parameters of the URL.
func (d described) query() []string {
	var names []string
	for _, p := range d.op.Parameters {
		if p.Value.In == openapi3.ParameterInQuery {
			names = append(names, p.Value.Name)
		}
	}
	return names
}

// body is the schema of the request, nil where there is none.
func (d described) body() *openapi3.Schema {
	if d.op.RequestBody == nil {
		return nil
	}
	return d.op.RequestBody.Value.Content.Get("application/json").Schema.Value
}

// strict says that a body may hold nothing but what the schema names.
func strict(s *openapi3.Schema) bool {
	return s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has
}

var theContract = sync.OnceValues(func() (*contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData([]byte(openAPI))
	if err != nil {
		return nil, err
	}
	c := &contract{doc: doc, mux: http.NewServeMux()}
	for at, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			d := described{path: at, method: method, op: op}
			c.calls = append(c.calls, d)
			c.mux.Handle(d.pattern(), http.NotFoundHandler())
		}
	}
	slices.SortFunc(c.calls, func(a, b described) int {
		return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(b.method, a.method))
	})
	return c, doc.Validate(loader.Context)
})

func loadContract(t *testing.T) *contract {
	t.Helper()
	c, err := theContract()
	require.NoError(t, err)
	return c
}

// find is the operation that a request is meant for.
func (c *contract) find(r *http.Request) (described, bool) {
	_, pattern := c.mux.Handler(r)
	i := slices.IndexFunc(c.calls, func(d described) bool { return d.pattern() == pattern })
	if i < 0 || path.Clean(r.URL.Path) != r.URL.Path { // ServeMux finds where it would redirect to
		return described{}, false
	}
	return c.calls[i], true
}

// check fails the test when a reply is not what the description says of the
// call: status, headers and body; for what is not described it must be an error.
func (c *contract) check(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	d, ok := c.find(r)
	if !ok {
		c.checkMissing(t, r, w)
		return
	}
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, Route: &routers.Route{Spec: c.doc, Path: d.path, Method: d.method, Operation: d.op},
		},
		Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}), "%s %s -> %d %s", r.Method, r.URL, w.Code, w.Body)
}

func (c *contract) checkMissing(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code == http.StatusNoContent && r.Method == http.MethodOptions {
		require.Empty(t, w.Body.Bytes())
		require.NotEmpty(t, w.Header().Get("Allow"))
		return
	}
	require.Contains(t, []int{401, 403, 404, 405, 413, 421}, w.Code, "%s %s", r.Method, r.URL)
	body := decode[any](t, w.Body.String())
	require.NoError(t, c.doc.Components.Schemas["Error"].Value.VisitJSON(body))
}

// TestTheTableIsTheDescription, in both directions.
func TestTheTableIsTheDescription(t *testing.T) {
	type row struct {
		pattern string
		rule    rule
		query   string
	}
	var served, told []row
	for _, r := range routes() {
		served = append(served, row{r.pattern(), r.rule, strings.Join(r.query, " ")})
	}
	for _, d := range loadContract(t).calls {
		told = append(told, row{d.pattern(), d.role(), strings.Join(d.query(), " ")})
	}
	require.ElementsMatch(t, told, served)
}

// TestTheDescriptionSaysHowEachRoleComesIn: the security of a call follows from
// its role, and so do the errors that it must declare.
func TestTheDescriptionSaysHowEachRoleComesIn(t *testing.T) {
	c := loadContract(t)
	schemes := func(d described) (names []string) {
		all := c.doc.Security
		if d.op.Security != nil {
			all = *d.op.Security
		}
		for _, one := range all {
			for name := range one {
				names = append(names, name)
			}
		}
		return names
	}
	people := []string{"bearer", "basic", "negotiate"}
	want := map[rule]struct{ schemes, errors []string }{
		public: {nil, []string{"500"}},
		user:   {people, []string{"400", "401", "403", "413", "421", "500", "504"}},
		owner:  {people, []string{"400", "401", "403", "404", "413", "421", "500", "504"}},
		admin:  {people, []string{"400", "401", "403", "413", "421", "500", "504"}},

		operator: {people, []string{"400", "401", "403", "413", "421", "500", "504"}},
		engine:   {[]string{"engineMac"}, []string{"400", "401", "403", "404", "410", "413", "500", "504"}},
	}
	for _, d := range c.calls {
		require.Contains(t, want, d.role(), d.pattern())
		require.ElementsMatch(t, want[d.role()].schemes, schemes(d), d.pattern())
		for _, status := range want[d.role()].errors {
			require.NotNil(t, d.op.Responses.Value(status), "%s does not declare %s", d.pattern(), status)
		}
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	reply := serve(t, options(aWorld())).do("alice", "GET", "/api/openapi.yaml", "")
	require.Equal(t, "application/yaml", reply.Header().Get("Content-Type"))
	require.Equal(t, openAPI, reply.Body.String())
}
