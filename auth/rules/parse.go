// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"roundhouse/auth"
	"roundhouse/internal/typo"
)

// document, entry, who and operatorEntry are the file as written. Words that
// they do not have are errors.
type (
	document struct {
		Rules     []ruleEntry     `yaml:"rules"`
		Operators []operatorEntry `yaml:"operators"`
	}
	who struct {
		Users    []string `yaml:"users"`
		Groups   []string `yaml:"groups"`
		Everyone bool     `yaml:"everyone"`
	}
	ruleEntry struct {
		Name        string    `yaml:"name"`
		Who         who       `yaml:",inline"`
		From        []string  `yaml:"from"`
		Refuse      bool      `yaml:"refuse"`
		Profiles    *[]string `yaml:"profiles"`
		ShareLevels *[]string `yaml:"share-levels"`
		ProxyUsers  *[]string `yaml:"proxy-users"`

		line int
	}
	operatorEntry struct {
		Name string   `yaml:"name"`
		Who  who      `yaml:",inline"`
		Of   who      `yaml:"of"`
		May  []string `yaml:"may"`

		line int
	}
)

// wordsOf are the words of each type, for messages. It is immutable.
var wordsOf = map[string][]string{
	"document":      {"rules", "operators"},
	"ruleEntry":     {"name", "users", "groups", "everyone", "from", "refuse", "profiles", "share-levels", "proxy-users"},
	"operatorEntry": {"name", "users", "groups", "everyone", "of", "may"},
	"who":           {"users", "groups", "everyone"},
}

// line notes where each entry begins, for messages.
func (d *document) notice(root *yaml.Node) {
	for _, list := range pairs(root) {
		for i, item := range list.value.Content {
			switch {
			case list.key == "rules" && i < len(d.Rules):
				d.Rules[i].line = item.Line
			case list.key == "operators" && i < len(d.Operators):
				d.Operators[i].line = item.Line
			}
		}
	}
}

type pair struct {
	key   string
	value *yaml.Node
}

// pairs are the entries of the mapping that a document is.
func pairs(root *yaml.Node) (all []pair) {
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	content := root.Content[0].Content
	for i := 0; i+1 < len(content); i += 2 {
		all = append(all, pair{content[i].Value, content[i+1]})
	}
	return all
}

// Parse reads the text of a rules file. The error names every fault with its
// line.
func Parse(text []byte) (*Rules, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, explainYAML(err)
	}
	var d document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		return nil, explainYAML(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("a second document follows after ---; one is read")
	}
	d.notice(&root)
	if len(d.Rules) == 0 {
		return nil, errors.New("it has no list rules, so nobody could connect; begin with a rule such as {name: all, everyone: true}")
	}
	return d.build()
}

// unknownWord is how the library names a word that a type does not have.
var unknownWord = regexp.MustCompile(`field (.*) not found in type rules\.(\w+)`)

// explainYAML puts errors of the library, of which each has its line, into one
// line of text.
func explainYAML(err error) error {
	var several *yaml.TypeError
	if !errors.As(err, &several) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var texts []string
	for _, text := range several.Errors {
		if found := unknownWord.FindStringSubmatch(text); found != nil {
			text = strings.Replace(text, found[0], explainWord(found[1], wordsOf[found[2]]), 1)
		}
		texts = append(texts, text)
	}
	return errors.New(strings.Join(texts, "; "))
}

func explainWord(word string, known []string) string {
	best, least := "", min(3, len(word)/2+1)
	for _, name := range known {
		if d := typo.Distance(strings.ToLower(word), name); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return fmt.Sprintf("unknown word %.40q; the words here are %s", word, strings.Join(known, ", "))
	}
	return fmt.Sprintf("unknown word %q; did you mean %s?", word, best)
}

func (d *document) build() (*Rules, error) {
	r := &Rules{}
	var faults []error
	for _, e := range d.Rules {
		rule, err := e.build()
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: rule %q: %w", e.line, e.Name, err))
		}
		r.rules = append(r.rules, rule)
	}
	for _, e := range d.Operators {
		o, err := e.build()
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: operator %q: %w", e.line, e.Name, err))
		}
		r.operators = append(r.operators, o)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return r, nil
}

func (e ruleEntry) build() (rule, error) {
	r := rule{name: e.Name, line: e.line, refuse: e.Refuse}
	if e.Name == "" {
		return r, errors.New("it has no name")
	}
	if e.Refuse && (e.Profiles != nil || e.ShareLevels != nil || e.ProxyUsers != nil) {
		return r, errors.New("it refuses, so profiles, share-levels and proxy-users mean nothing in it")
	}
	var err error
	if r.who, err = e.Who.build(); err != nil {
		return r, err
	}
	for _, text := range e.From {
		network, err := parseNetwork(text)
		if err != nil {
			return r, err
		}
		r.from = append(r.from, network)
	}
	if e.From != nil && len(e.From) == 0 {
		return r, errors.New("from is empty, so it would fit nowhere; leave it out for anywhere")
	}
	r.profiles, r.shareLevels, r.proxyUsers = values(e.Profiles), values(e.ShareLevels), values(e.ProxyUsers)
	return r, r.checkLists()
}

// values keeps an empty list apart from none.
func values(list *[]string) []string {
	if list == nil {
		return nil
	}
	return append([]string{}, *list...)
}

// shareLevels are the ones that Kyuubi has.
var shareLevels = [...]string{anything, "CONNECTION", "USER", "GROUP", "SERVER"}

func (r *rule) checkLists() error {
	for i, level := range r.shareLevels {
		r.shareLevels[i] = strings.ToUpper(level)
		if !within(shareLevels[:], r.shareLevels[i]) {
			return fmt.Errorf("share-levels: there is no level %q, only CONNECTION, USER, GROUP and SERVER", level)
		}
	}
	for _, name := range r.proxyUsers {
		if err := auth.ValidUser(name); name != anything && err != nil {
			return fmt.Errorf("proxy-users: %w", err)
		}
	}
	return nil
}

func within(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func (w who) build() (people, error) {
	p := people{users: w.Users, groups: w.Groups, everyone: w.Everyone}
	switch named := len(w.Users) + len(w.Groups); {
	case named == 0 && !w.Everyone:
		return p, errors.New("it is for nobody: name users or groups, or say everyone: true")
	case named > 0 && w.Everyone:
		return p, errors.New("it is for everyone and names users or groups: keep one of both")
	}
	for _, name := range w.Users {
		if err := auth.ValidUser(name); err != nil {
			return p, err
		}
	}
	for _, name := range w.Groups {
		if !auth.ValidGroup(name) || name == anything {
			return p, fmt.Errorf("%q can be no group", name)
		}
	}
	return p, nil
}

func (e operatorEntry) build() (operator, error) {
	o := operator{name: e.Name}
	if e.Name == "" {
		return o, errors.New("it has no name")
	}
	var err error
	if o.who, err = e.Who.build(); err != nil {
		return o, err
	}
	if o.of, err = e.Of.build(); err != nil {
		return o, fmt.Errorf("of: %w", err)
	}
	for _, word := range e.May {
		do := Action(word)
		if do != See && do != End {
			return o, fmt.Errorf("may: there is no %q, only see and end", word)
		}
		o.may = append(o.may, do)
	}
	if !within(e.May, string(See)) {
		return o, errors.New("may: it needs see, for who cannot see a session cannot end it")
	}
	return o, nil
}

// parseNetwork reads 10.0.0.0/8 or a single address.
func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return network, fmt.Errorf("from: %q is neither an address nor a network such as 10.0.0.0/8", text)
	}
	if network != network.Masked() {
		return network, fmt.Errorf("from: %q has bits beyond its length; write %v", text, network.Masked())
	}
	return network, nil
}
