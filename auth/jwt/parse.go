// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// object is a JSON object. Its names count with their case.
type object map[string]any

// token is one that was read and of which nothing is verified.
type token struct {
	raw            string
	header, claims object
	issuer         string
}

// parse reads a token in the compact form (RFC 7515 section 7.1) that names an
// issuer. There is one way to write a token: base64url without padding, blanks or
// unused bits, so that no other text is the same token.
func parse(raw string) (token, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || strings.ContainsAny(raw, "\r\n") { // which the decoder would skip
		return token{}, errors.New("it has not the three parts of a signed token")
	}
	t := token{raw: raw}
	var err error
	if t.header, err = parseObject(parts[0]); err != nil {
		return token{}, fmt.Errorf("its header: %w", err)
	}
	if t.claims, err = parseObject(parts[1]); err != nil {
		return token{}, fmt.Errorf("its claims: %w", err)
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil {
		return token{}, fmt.Errorf("its signature: %w", err)
	}
	t.issuer, err = t.claims.text("iss")
	return t, err
}

// parseObject reads one JSON object. The decoder refuses a name given twice in
// one object, at any depth.
func parseObject(part string) (o object, err error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, errors.New("null")
	}
	return o, nil
}

// text is a member that must be there and be a string that is not empty.
func (o object) text(name string) (string, error) {
	if s, ok := o[name].(string); ok && s != "" {
		return s, nil
	}
	return "", fmt.Errorf("%q is not given, or no text", name)
}

// latest is the last second of the year 9999, beyond which times cannot be
// written.
const latest = 253402300799

// time is a NumericDate (RFC 7519 section 2); zero if it is not given.
func (o object) time(name string) (time.Time, error) {
	value, given := o[name]
	if !given {
		return time.Time{}, nil
	}
	seconds, ok := value.(float64)
	if !ok || seconds < 1 || seconds > latest {
		return time.Time{}, fmt.Errorf("%q is no time", name)
	}
	return time.Unix(int64(seconds), 0), nil
}

// texts is a list of strings, or one string cut by cut; nil if it is not given.
func (o object) texts(name string, cut func(string) []string) ([]string, error) {
	switch value := o[name].(type) {
	case nil:
		return nil, nil
	case string:
		return cut(value), nil
	case []any:
		var all []string
		for _, item := range value {
			s, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("%q holds more than texts", name)
			}
			all = append(all, s)
		}
		return all, nil
	default:
		return nil, fmt.Errorf("%q is neither a text nor a list of texts", name)
	}
}
