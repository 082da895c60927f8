// SPDX-License-Identifier: Apache-2.0

package conf

// Scope says where a setting may stand.
type Scope string

// The scopes. A client may set only what the options table of a session
// allows (launch_keys.go), whatever the scope.
const (
	// ScopeServer settings hold for the whole gateway: file and --conf only.
	ScopeServer Scope = "server"
	// ScopeSession settings mean one session: user defaults, profiles, clients.
	ScopeSession Scope = "session"
	// ScopeBoth settings are a default of the server that user defaults and
	// profiles may replace.
	ScopeBoth Scope = "both"
)

// Meta is what is known about a setting apart from its value.
type Meta struct {
	// Key is the full name.
	Key string
	// Default is the default as one would write it; "" is unset.
	Default string
	// Doc is the meaning, for settings.md.
	Doc string
	// Scope says where the setting may stand.
	Scope Scope
	// Since is the first version of this gateway that reads it.
	Since string
	// Ours says that Kyuubi has no such setting.
	Ours bool
	// Secret values may be references (file:/path, env:NAME) and are never shown.
	Secret bool
	// Deprecated are older names, read when Key is not set.
	Deprecated []string
}

// Entry is a setting with a value of type T.
type Entry[T any] struct {
	Meta
	kind kind[T]
}

// kind is a type of values: its name for people and how its text is read.
type kind[T any] struct {
	name  string
	parse func(string) (T, error)
}

// Get is the value in c, or the default. Values and defaults have been checked
// before, the former by Load and New, the latter by a test.
func (e Entry[T]) Get(c *Conf) T {
	text, ok := c.Raw(e.Key)
	if !ok {
		text = e.Default
	}
	v, _ := e.kind.parse(c.expand(text))
	return v
}

// setting is an entry without its value type.
type setting interface {
	meta() Meta
	typeName() string
	check(text string) error
}

func (e Entry[T]) meta() Meta       { return e.Meta }
func (e Entry[T]) typeName() string { return e.kind.name }

func (e Entry[T]) check(text string) error {
	_, err := e.kind.parse(text)
	return err
}
