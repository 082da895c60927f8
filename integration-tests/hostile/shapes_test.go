// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// fate is what the gateway must do with a forged request.
type fate int

const (
	carried fate = iota + 1 // it reaches the engine, as alice's
	refused                 // it reaches nothing
	either                  // one of the two; grpc may refuse before the gateway
)

// forge are the parts that a shape puts together.
type forge struct {
	session, other string // two sessions of alice
	body           []byte // the request without session_id and user_context
}

// shape is one way to forge an identity. The zero values of the other fields
// mean: one message, no metadata, the first session, no extensions.
type shape struct {
	fate       fate
	build      func(f forge) []byte
	second     func(f forge) []byte // a second message of the same call
	header     []string
	options    []grpc.CallOption
	other      bool // the call belongs to the second session
	extensions int  // how many must arrive
}

func field(num protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), value)
}

func text(num protowire.Number, value string) []byte { return field(num, []byte(value)) }

func varint(num protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), value)
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// who is an encoded UserContext of a user, with more fields behind.
func who(user string, more ...[]byte) []byte {
	return join(text(1, user), text(2, user), join(more...))
}

// as is the field user_context that names a user.
func as(user string, more ...[]byte) []byte { return field(2, who(user, more...)) }

// longTag is a tag in more bytes than needed, and longLength a field 2 whose
// length is.
func longTag(tag byte, size int) []byte {
	long := []byte{tag | 0x80}
	for len(long) < size-1 {
		long = append(long, 0x80)
	}
	return append(long, 0)
}

func sized(tag, value []byte) []byte {
	return join(tag, protowire.AppendVarint(nil, uint64(len(value))), value)
}

// extension is a google.protobuf.Any with a name and content.
func extension(name string, content []byte) []byte {
	return field(999, join(text(1, "type.googleapis.com/"+name), field(2, content)))
}

func (f forge) request(context ...[]byte) []byte {
	return join(text(1, f.session), join(context...), f.body)
}

// shapes are the forgeries, by name.
func shapes() map[string]shape {
	all := map[string]shape{}
	for _, group := range []map[string]shape{placeShapes(), contextShapes(), wireShapes(), sessionShapes(), callShapes()} {
		for name, s := range group {
			all[name] = s
		}
	}
	return all
}

// placeShapes vary where and how often user_context stands.
func placeShapes() map[string]shape {
	return map[string]shape{
		"none":             {fate: carried, build: func(f forge) []byte { return f.request() }},
		"own":              {fate: carried, build: func(f forge) []byte { return f.request(as("alice")) }},
		"other":            {fate: carried, build: func(f forge) []byte { return f.request(as("bob")) }},
		"own then other":   {fate: carried, build: func(f forge) []byte { return f.request(as("alice"), as("bob")) }},
		"other then own":   {fate: carried, build: func(f forge) []byte { return f.request(as("bob"), as("alice")) }},
		"before all":       {fate: carried, build: func(f forge) []byte { return join(as("bob"), f.request()) }},
		"after all":        {fate: carried, build: func(f forge) []byte { return join(f.request(), as("bob")) }},
		"own, last other":  {fate: carried, build: func(f forge) []byte { return join(f.request(as("alice")), as("bob")) }},
		"everywhere":       {fate: carried, build: func(f forge) []byte { return join(as("bob"), f.request(as("root")), as("eve")) }},
		"hundred":          {fate: carried, build: func(f forge) []byte { return join(f.request(), bytes.Repeat(as("bob"), 100)) }},
		"body twice":       {fate: either, build: func(f forge) []byte { return join(f.request(as("alice")), f.body, as("bob")) }},
		"nested in a plan": {fate: either, build: func(f forge) []byte { return join(f.request(as("alice")), field(400, as("bob"))) }},
		"nested deeply": {fate: carried, build: func(f forge) []byte {
			deep := as("bob")
			for range 200 {
				deep = field(2, deep)
			}
			return join(f.request(as("alice")), field(500, deep))
		}},
	}
}

// contextShapes vary what user_context holds.
func contextShapes() map[string]shape {
	in := func(value ...[]byte) func(forge) []byte {
		return func(f forge) []byte { return f.request(field(2, join(value...))) }
	}
	return map[string]shape{
		"names differ":      {fate: carried, build: in(text(1, "alice"), text(2, "bob"))},
		"only a name":       {fate: carried, build: in(text(2, "bob"))},
		"empty context":     {fate: carried, build: in()},
		"empty user id":     {fate: carried, build: in(text(1, ""), text(2, ""))},
		"user id twice":     {fate: carried, build: in(text(1, "alice"), text(1, "bob"))},
		"user id with NUL":  {fate: carried, build: in(who("alice\x00bob"))},
		"newline":           {fate: carried, build: in(who("bob\nauthorization: x"))},
		"traversal":         {fate: carried, build: in(who("../bob"))},
		"look-alike":        {fate: carried, build: in(who("\u0430lice"))},
		"huge user id":      {fate: carried, build: in(who(strings.Repeat("bob", 1<<16)))},
		"user id not UTF-8": {fate: refused, build: in(text(1, "bob\xff"))},
		"user id a number":  {fate: refused, build: in(varint(1, 7))},
		"unknown fields":    {fate: carried, build: in(who("bob"), text(3, "bob"), varint(4, 1), text(998, "bob"))},
		"group in context":  {fate: refused, build: in(who("bob"), []byte{0x1b}, text(1, "bob"), []byte{0x1c})},
		"extensions":        {fate: carried, extensions: 2, build: in(extension("a.B", nil), who("bob"), extension("c.D", []byte{8, 1}))},
		"extensions apart": {fate: carried, extensions: 2, build: func(f forge) []byte {
			return join(as("bob", extension("a.B", nil)), f.request(), as("eve", extension("c.D", nil)))
		}},
		"extension is a context": {fate: carried, extensions: 1, build: in(who("alice"), extension("spark.connect.UserContext", who("bob")))},
		"extension a number":     {fate: refused, build: in(who("bob"), varint(999, 1))},
		"context junk":           {fate: refused, build: in([]byte{0xff, 0xff, 0xff, 0xff})},
		"context cut off":        {fate: refused, build: in(who("alice"), []byte{0x0a, 0x20, 'b'})},
		"aliased user id":        {fate: refused, build: in(who("alice"), sized([]byte{0x8a, 0x80, 0x80, 0x80, 0x10}, []byte("bob")))},
	}
}

// wireShapes break the encoding of the top level.
func wireShapes() map[string]shape {
	end := func(tail ...[]byte) func(forge) []byte {
		return func(f forge) []byte { return join(f.request(as("alice")), join(tail...)) }
	}
	return map[string]shape{
		"context a number":     {fate: refused, build: end(varint(2, 5))},
		"context fixed 32":     {fate: refused, build: end([]byte{0x15, 'b', 'o', 'b', 0})},
		"context fixed 64":     {fate: refused, build: end([]byte{0x11, 'b', 'o', 'b', 0, 0, 0, 0, 0})},
		"context a group":      {fate: refused, build: end([]byte{0x13}, who("bob"), []byte{0x14})},
		"context inside group": {fate: refused, build: end([]byte{0xa3, 0x06}, as("bob"), []byte{0xa4, 0x06})},
		"open group":           {fate: refused, build: end(as("bob"), []byte{0xa3, 0x06})},
		"end of a group":       {fate: refused, build: end(as("bob"), []byte{0xa4, 0x06})},
		"last field swallows":  {fate: refused, build: end(as("bob"), []byte{0xa2, 0x06, 0x20})},
		"last field cut off":   {fate: refused, build: end(as("bob"), []byte{0x12, 0x30, 0x0a, 0x03, 'b', 'o', 'b'})},
		"half a tag":           {fate: refused, build: end(as("bob"), []byte{0x92})},
		"half a varint":        {fate: refused, build: end(as("bob"), []byte{0x98, 0x06, 0xff})},
		"half a fixed 64":      {fate: refused, build: end(as("bob"), []byte{0x99, 0x06, 1, 2})},
		"endless varint":       {fate: refused, build: end([]byte{0x98, 0x06}, bytes.Repeat([]byte{0xff}, 11), as("bob"))},
		"long tag":             {fate: carried, build: end(sized(longTag(0x12, 3), who("bob")))},
		"longest 32-bit tag":   {fate: carried, build: end(sized(longTag(0x12, 5), who("bob")))},
		"longest tag":          {fate: carried, build: end(sized(longTag(0x12, 10), who("bob")))},
		"tag of eleven bytes":  {fate: refused, build: end(sized(longTag(0x12, 11), who("bob")))},
		"long length":          {fate: carried, build: end([]byte{0x12}, longTag(byte(len(who("bob"))), 5), who("bob"))},
		"tag over 32 bits":     {fate: refused, build: end(sized([]byte{0x92, 0x80, 0x80, 0x80, 0x10}, who("bob")))},
		"tag over 35 bits":     {fate: refused, build: end(sized([]byte{0x92, 0x80, 0x80, 0x80, 0x80, 0x01}, who("bob")))},
		"length over 32 bits":  {fate: refused, build: end([]byte{0x12, 0x8a, 0x80, 0x80, 0x80, 0x10}, who("bob"))},
		"negative length":      {fate: refused, build: end([]byte{0x12}, bytes.Repeat([]byte{0xff}, 9), []byte{1}, who("bob"))},
		"field zero":           {fate: refused, build: end([]byte{0x02, 0x03, 'b', 'o', 'b'})},
		"unused wire type":     {fate: refused, build: end(as("bob"), []byte{0x16, 1})},
		"largest field":        {fate: carried, build: end(field(protowire.MaxValidNumber, who("bob")))},
		"reserved field":       {fate: carried, build: end(field(19500, who("bob")))},
		"only a context":       {fate: refused, build: func(forge) []byte { return as("bob") }},
		"nothing":              {fate: refused, build: func(forge) []byte { return nil }},
		"junk":                 {fate: refused, build: func(forge) []byte { return bytes.Repeat([]byte{0xfe, 0x12}, 64) }},
	}
}

// sessionShapes forge the session beside the user.
func sessionShapes() map[string]shape {
	id := func(session string) func(forge) []byte {
		return func(f forge) []byte { return join(text(1, session), as("bob"), f.body) }
	}
	return map[string]shape{
		"other session first": {fate: carried, build: func(f forge) []byte { return join(text(1, f.other), f.request(as("bob"))) }},
		"other session last":  {fate: carried, other: true, build: func(f forge) []byte { return join(f.request(as("bob")), text(1, f.other)) }},
		"session by long tag": {fate: carried, other: true, build: func(f forge) []byte { return join(f.request(as("bob")), sized(longTag(0x0a, 4), []byte(f.other))) }},
		"session alias": {fate: refused, build: func(f forge) []byte {
			return join(f.request(), sized([]byte{0x8a, 0x80, 0x80, 0x80, 0x10}, []byte(f.other)))
		}},
		"session a number":     {fate: refused, build: func(f forge) []byte { return join(f.request(), varint(1, 1)) }},
		"session empty":        {fate: refused, build: id("")},
		"session in braces":    {fate: refused, build: id("{00112233-4455-6677-8899-aabbccddeeff}")},
		"session with newline": {fate: refused, build: id("00112233-4455-6677-8899-aabbccddeef\n")},
		"session not UTF-8":    {fate: refused, build: id("00112233-4455-6677-8899-aabbccddee\xff\xff")},
		"session traversal":    {fate: refused, build: id("../../../../../../etc/passwd/aaaaaaaaaa")},
	}
}

// callShapes forge around the message.
func callShapes() map[string]shape {
	other := func(f forge) []byte { return f.request(as("bob")) }
	own := func(f forge) []byte { return f.request(as("alice")) }
	return map[string]shape{
		"gzip":              {fate: carried, options: []grpc.CallOption{grpc.UseCompressor("gzip")}, build: other},
		"gzip, twice":       {fate: carried, options: []grpc.CallOption{grpc.UseCompressor("gzip")}, build: func(f forge) []byte { return join(other(f), as("root")) }},
		"gzip, cut off":     {fate: refused, options: []grpc.CallOption{grpc.UseCompressor("gzip")}, build: func(f forge) []byte { return join(other(f), []byte{0x12, 0x7f}) }},
		"unknown encoding":  {fate: refused, options: []grpc.CallOption{grpc.UseCompressor("nonsense")}, build: other},
		"user headers":      {fate: carried, header: []string{"user_id", "bob", "user-id", "bob", "x-user-id", "bob", "user_context-bin", string(who("bob")), "x-forwarded-user", "bob", "x-remote-user", "bob"}, build: other},
		"proxy user":        {fate: either, header: []string{"hive.server2.proxy.user", "bob", "proxy-user", "bob", "x-proxy-user", "bob", "doas", "bob"}, build: other},
		"our headers":       {fate: either, header: []string{"x-roundhouse-user", "bob", "x-roundhouse-session", "x", "x-kyuubi-user", "bob", "kyuubi-session-user", "bob"}, build: other},
		"options":           {fate: either, header: []string{"kyuubi.session.user", "bob", "x-kyuubi.session.user", "bob", "spark.yarn.principal", "bob"}, build: other},
		"second message":    {fate: either, build: own, second: other},
		"second, session":   {fate: either, build: own, second: func(f forge) []byte { return join(other(f), text(1, f.other)) }},
		"second, malformed": {fate: either, build: own, second: func(f forge) []byte { return join(other(f), []byte{0xa2, 0x06, 0x20}) }},
	}
}
