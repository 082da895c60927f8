// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"roundhouse/internal/errs"
)

// These bound the body of a call, in bytes. Engines prove themselves by it, so
// anybody can send theirs.
const (
	maxBody       = 1 << 20
	maxEngineBody = 64 << 10
)

// readBody reads all of the body, for every call: what is longer than most or
// does not come in time is refused before anything happens.
func (c *call) readBody(most int64) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, most))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return withStatus(http.StatusRequestEntityTooLarge,
			errs.New(errs.InvalidRequest, "The body is larger than %d bytes.", large.Limit))
	}
	if err != nil {
		return errs.Wrap(errs.InvalidRequest, err, "The body could not be read.")
	}
	c.body = body
	return nil
}

// readJSON reads the body, if there is one, and refuses fields that are not
// among those of into.
func (c *call) readJSON(into any) error { return c.decode(into, true) }

// readLenient reads the body of an engine: newer engines may send more.
func (c *call) readLenient(into any) error { return c.decode(into, false) }

func (c *call) decode(into any, strict bool) error {
	text := bytes.TrimSpace(c.body)
	if len(text) == 0 {
		return nil
	}
	if err := c.checkKind(); err != nil {
		return err
	}
	if text[0] != '{' {
		return errs.New(errs.InvalidRequest, "The body must be a JSON object.")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if strict {
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(into); err != nil {
		return explainJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errs.New(errs.InvalidRequest, "Something follows the JSON object of the body.")
	}
	return nil
}

// checkKind refuses what is not plain JSON; without a Content-Type it is taken
// for that.
func (c *call) checkKind() error {
	kind := c.r.Header.Get("Content-Type")
	if plain, _, err := mime.ParseMediaType(kind); kind != "" && (err != nil || plain != "application/json") {
		return withStatus(http.StatusUnsupportedMediaType,
			errs.New(errs.InvalidRequest, "The body must be application/json, not %q.", kind))
	}
	if coding := c.r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		c.w.Header().Set("Accept-Encoding", "identity")
		return withStatus(http.StatusUnsupportedMediaType,
			errs.New(errs.InvalidRequest, "The body must not be encoded (%q).", coding))
	}
	return nil
}

// explainJSON says what is wrong in words that do not need Go.
func explainJSON(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return errs.New(errs.InvalidRequest, "The field %s of the body has the wrong type: %s.", wrong.Field, wrong.Value)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return errs.New(errs.InvalidRequest, "The body has the field %s, which this call does not know.", field)
	}
	return errs.New(errs.InvalidRequest, "The body is not the JSON expected here: %v.", err)
}
