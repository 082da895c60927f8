// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// commonNameID is the attribute CN (RFC 4519 section 2.3). It is immutable.
var commonNameID = asn1.ObjectIdentifier{2, 5, 4, 3}

// attributeNames are those of RFC 4514 section 3, and of the mail address (RFC
// 2985 section 5.2.1). It is immutable.
var attributeNames = map[string]string{
	commonNameID.String(): "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID", "1.2.840.113549.1.9.1": "emailAddress",
}

// distinguishedName is the text of a name as RFC 4514 writes it: the last part
// first. It is made of what was signed, because pkix.Name forgets the order.
func distinguishedName(raw []byte) (string, error) {
	var parts pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &parts); err != nil || len(rest) > 0 {
		return "", errors.New("its subject cannot be read")
	}
	var all []string
	for _, part := range slices.Backward(parts) {
		var one []string
		for _, a := range part {
			text, err := attribute(a)
			if err != nil {
				return "", err
			}
			one = append(one, text)
		}
		all = append(all, strings.Join(one, "+"))
	}
	return strings.Join(all, ","), nil
}

func attribute(a pkix.AttributeTypeAndValue) (string, error) {
	id := a.Type.String()
	text, isText := a.Value.(string)
	if name := attributeNames[id]; name != "" && isText {
		return name + "=" + escape(text), nil
	}
	der, err := asn1.Marshal(a.Value)
	if err != nil {
		return "", fmt.Errorf("the attribute %s of its subject cannot be read", id)
	}
	return fmt.Sprintf("%s=#%x", id, der), nil
}

// escape writes a value (RFC 4514 section 2.4).
func escape(text string) string {
	var b strings.Builder
	for i, r := range text {
		first, last := i == 0, i == len(text)-1
		switch {
		case r == 0:
			b.WriteString(`\00`)
			continue
		case strings.ContainsRune(`"+,;<>\`, r), r == ' ' && (first || last), r == '#' && first:
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
