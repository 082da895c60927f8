// SPDX-License-Identifier: Apache-2.0

package krb5

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
)

// ntlm begins a bare token of NTLM ([MS-NLMP] section 2.2.1).
const ntlm = "NTLMSSP\x00"

// apRepID precedes an AP-REP in a token of GSS-API (RFC 4121 section 4.1).
const apRepID = "\x02\x00"

// incoming is a token of a caller.
type incoming struct {
	request messages.APReq
	// negotiated is set for SPNEGO, and is what the answer is made of; a bare token
	// of the Kerberos mechanism, as some libraries send it, is answered bare.
	negotiated *spnego.NegTokenResp
}

// parse reads a token of SPNEGO whose preferred mechanism is Kerberos, or a
// bare one of Kerberos.
func parse(token []byte) (incoming, error) {
	switch {
	case len(token) == 0:
		return incoming{}, errors.New("the token is empty")
	case len(token) > maxToken:
		return incoming{}, fmt.Errorf("the token has %d bytes, more than %d", len(token), maxToken)
	case bytes.HasPrefix(token, []byte(ntlm)):
		return incoming{}, errors.New("NTLM is refused: only Kerberos is accepted")
	}
	var in incoming
	var outer spnego.SPNEGOToken
	mechanism := token
	if outer.Unmarshal(token) == nil {
		if !outer.Init || len(outer.NegTokenInit.MechTypes) == 0 {
			return incoming{}, errors.New("the token is none that begins a negotiation")
		}
		first := outer.NegTokenInit.MechTypes[0]
		if !first.Equal(gssapi.OIDKRB5.OID()) && !first.Equal(gssapi.OIDMSLegacyKRB5.OID()) {
			return incoming{}, fmt.Errorf("the mechanism %v is refused: only Kerberos is accepted", first)
		}
		mechanism = outer.NegTokenInit.MechTokenBytes
		in.negotiated = &spnego.NegTokenResp{SupportedMech: first}
	}
	var inner spnego.KRB5Token
	if err := inner.Unmarshal(mechanism); err != nil {
		return incoming{}, fmt.Errorf("the token is none of Kerberos: %w", err)
	}
	if !inner.IsAPReq() {
		return incoming{}, errors.New("the token holds no ticket")
	}
	in.request = inner.APReq
	return in, nil
}

// reply is the token that ends the negotiation. It proves the service where
// the caller asked for mutual authentication.
func (in incoming) reply() ([]byte, error) {
	var mechanism []byte
	if types.IsFlagSet(&in.request.APOptions, flags.APOptionMutualRequired) {
		var err error
		if mechanism, err = mutual(in.request); err != nil {
			return nil, err
		}
	}
	if in.negotiated == nil {
		return mechanism, nil
	}
	answer := *in.negotiated
	answer.ResponseToken = mechanism
	return answer.Marshal()
}

// apRep and its encrypted part are RFC 4120 section 5.5.2; gokrb5 can read them
// only.
type apRep struct {
	Version int                 `asn1:"explicit,tag:0"`
	Type    int                 `asn1:"explicit,tag:1"`
	Part    types.EncryptedData `asn1:"explicit,tag:2"`
}

type apRepPart struct {
	Time   time.Time `asn1:"generalized,explicit,tag:0"`
	Micros int       `asn1:"explicit,tag:1"`
}

// mutual proves that this service could read the ticket: it sends the time of
// the authenticator back under the key of the session.
func mutual(request messages.APReq) ([]byte, error) {
	part, err := asn1.Marshal(apRepPart{request.Authenticator.CTime.UTC(), request.Authenticator.Cusec})
	if err != nil {
		return nil, err
	}
	part = asn1tools.AddASNAppTag(part, asnAppTag.EncAPRepPart)
	sealed, err := crypto.GetEncryptedData(part, request.Ticket.DecryptedEncPart.Key, keyusage.AP_REP_ENCPART, 0)
	if err != nil {
		return nil, err
	}
	message, err := asn1.Marshal(apRep{iana.PVNO, msgtype.KRB_AP_REP, sealed})
	if err != nil {
		return nil, err
	}
	oid, err := asn1.Marshal(asn1.ObjectIdentifier(gssapi.OIDKRB5.OID()))
	if err != nil {
		return nil, err
	}
	message = asn1tools.AddASNAppTag(message, asnAppTag.APREP)
	return asn1tools.AddASNAppTag(slices.Concat(oid, []byte(apRepID), message), 0), nil
}
