// SPDX-License-Identifier: Apache-2.0

// Package krb5test makes the tokens that tests present to a service: of real
// tickets, and forged ones.
package krb5test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"
)

// Keytab writes a keytab of mode 0600 with a fresh key of each principal.
func Keytab(t testing.TB, principals ...string) string {
	t.Helper()
	keys := keytab.New()
	for _, p := range principals {
		name, realm := types.ParseSPNString(p)
		require.NoError(t, keys.AddEntry(name.PrincipalNameString(), realm, rand.Text(), time.Now(), 1, etypeID.AES256_CTS_HMAC_SHA1_96))
	}
	data, err := keys.Marshal()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "test.keytab")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// Keys are the keys of a keytab.
func Keys(t testing.TB, path string) (all [][]byte) {
	t.Helper()
	keys, err := keytab.Load(path)
	require.NoError(t, err)
	for _, entry := range keys.Entries {
		all = append(all, entry.Key.KeyValue)
	}
	return all
}

// Forgery describes a ticket that no KDC issued.
type Forgery struct {
	// Client and Service are principals with their realms.
	Client, Service string
	// Keytab is a file with a key of Signer, or of Service if that is empty.
	Keytab, Signer string
	// Starts and Ends are distances from now; an Ends of 0 is an hour.
	Starts, Ends time.Duration
	// Address is the only address that may use the ticket, IPv4; nil is any.
	Address []byte
	// Groups is how many bytes of group memberships the ticket carries.
	Groups int
	// Checked says that a KDC checked the realms on the way.
	Checked bool
}

// Ticket is one with its session key.
type Ticket struct {
	ticket messages.Ticket
	key    types.EncryptionKey
	client types.PrincipalName
	realm  string
}

// Forge makes the ticket.
func Forge(t testing.TB, f Forgery) Ticket {
	t.Helper()
	keys, err := keytab.Load(f.Keytab)
	require.NoError(t, err)
	if f.Signer == "" {
		f.Signer = f.Service
	}
	signer, signerRealm := types.ParseSPNString(f.Signer)
	secret, version, err := keys.GetEncryptionKey(signer, signerRealm, 0, etypeID.AES256_CTS_HMAC_SHA1_96)
	require.NoError(t, err)
	part := f.inside(t)
	data, err := asn1.Marshal(part)
	require.NoError(t, err)
	data = asn1tools.AddASNAppTag(data, asnAppTag.EncTicketPart)
	sealed, err := crypto.GetEncryptedData(data, secret, keyusage.KDC_REP_TICKET, version)
	require.NoError(t, err)
	service, realm := types.ParseSPNString(f.Service)
	return Ticket{
		ticket: messages.Ticket{TktVNO: 5, Realm: realm, SName: service, EncPart: sealed},
		key:    part.Key, client: part.CName, realm: part.CRealm,
	}
}

func (f Forgery) inside(t testing.TB) messages.EncTicketPart {
	etype, err := crypto.GetEtype(etypeID.AES256_CTS_HMAC_SHA1_96)
	require.NoError(t, err)
	key, err := types.GenerateEncryptionKey(etype)
	require.NoError(t, err)
	name, realm := types.ParseSPNString(f.Client)
	if f.Ends == 0 {
		f.Ends = time.Hour
	}
	now := time.Now().UTC()
	part := messages.EncTicketPart{
		Flags: types.NewKrbFlags(), Key: key, CRealm: realm, CName: name,
		AuthTime: now.Add(f.Starts), StartTime: now.Add(f.Starts), EndTime: now.Add(f.Ends),
	}
	if f.Checked {
		types.SetFlag(&part.Flags, flags.TransitedPolicyChecked)
	}
	if f.Address != nil {
		part.CAddr = types.HostAddresses{{AddrType: 2, Address: f.Address}} // 2 is IPv4 (RFC 4120 section 7.5.3)
	}
	if f.Groups > 0 {
		part.AuthorizationData = types.AuthorizationData{{ADType: 128, ADData: make([]byte, f.Groups)}}
	}
	return part
}

// Issued gets a ticket of a real KDC for a person with a keytab.
func Issued(t testing.TB, krb5Conf, keytabFile, person, service string) Ticket {
	t.Helper()
	c, err := config.Load(krb5Conf)
	require.NoError(t, err)
	keys, err := keytab.Load(keytabFile)
	require.NoError(t, err)
	name, realm := types.ParseSPNString(person)
	login := client.NewWithKeytab(name.PrincipalNameString(), realm, keys, c, client.DisablePAFXFAST(true))
	defer login.Destroy()
	require.NoError(t, login.Login())
	serviceName, _ := types.ParseSPNString(service)
	ticket, key, err := login.GetServiceTicket(serviceName.PrincipalNameString())
	require.NoError(t, err)
	return Ticket{ticket: ticket, key: key, client: name, realm: realm}
}

// Token describes a token made of a ticket; the zero Token is a good one.
type Token struct {
	// Off is how far the clock of the caller is off.
	Off time.Duration
	// Cusec are the microseconds beside the time of the caller; 0 leaves the true ones.
	Cusec int
	// Mutual asks the service to prove itself.
	Mutual bool
	// Bare leaves SPNEGO out.
	Bare bool
	// NTLM prefers that mechanism.
	NTLM bool
	// Client is the principal that the authenticator claims; "" is the true one.
	Client string
	// Plain leaves out the checksum of GSS-API.
	Plain bool
	// Service is the principal that the ticket is relabelled to; "" leaves it.
	Service string
}

// Sent is a token, and what a caller needs to check the reply.
type Sent struct {
	Bytes  []byte
	ticket Ticket
	made   types.Authenticator
}

// Token makes a token; each call makes another one.
func (k Ticket) Token(t testing.TB, o Token) Sent {
	t.Helper()
	made, err := types.NewAuthenticator(k.realm, k.client)
	require.NoError(t, err)
	made.CTime = made.CTime.Add(o.Off)
	if o.Cusec != 0 {
		made.Cusec = o.Cusec
	}
	if o.Client != "" {
		made.CName, made.CRealm = types.ParseSPNString(o.Client)
	}
	made.Cksum = types.Checksum{CksumType: 0x8003, Checksum: append([]byte{16}, make([]byte, 23)...)} // RFC 4121 section 4.1.1
	if o.Plain {
		made.Cksum = types.Checksum{CksumType: 7, Checksum: make([]byte, 16)}
	}
	request, err := messages.NewAPReq(k.ticket, k.key, made)
	require.NoError(t, err)
	if o.Mutual {
		types.SetFlag(&request.APOptions, flags.APOptionMutualRequired)
	}
	if o.Service != "" {
		request.Ticket.SName, request.Ticket.Realm = types.ParseSPNString(o.Service)
	}
	return Sent{envelope(t, request, o), k, made}
}

func envelope(t testing.TB, request messages.APReq, o Token) []byte {
	t.Helper()
	message, err := request.Marshal()
	require.NoError(t, err)
	oid, err := asn1.Marshal(gssapi.OIDKRB5.OID())
	require.NoError(t, err)
	mechanism := asn1tools.AddASNAppTag(slices.Concat(oid, []byte("\x01\x00"), message), 0)
	if o.Bare {
		return mechanism
	}
	outer := spnego.SPNEGOToken{Init: true}
	if o.NTLM {
		outer.NegTokenInit.MechTypes = append(outer.NegTokenInit.MechTypes, []int{1, 3, 6, 1, 4, 1, 311, 2, 2, 10}) // [MS-NLMP] section 1.9
	}
	outer.NegTokenInit.MechTypes = append(outer.NegTokenInit.MechTypes, gssapi.OIDKRB5.OID())
	outer.NegTokenInit.MechTokenBytes = mechanism
	data, err := outer.Marshal()
	require.NoError(t, err)
	return data
}

// RequireReply checks that reply proves the service to the sender.
func (s Sent) RequireReply(t testing.TB, reply []byte) {
	t.Helper()
	var outer spnego.SPNEGOToken
	require.NoError(t, outer.Unmarshal(reply))
	require.True(t, outer.Resp)
	require.Equal(t, spnego.NegStateAcceptCompleted, outer.NegTokenResp.State())
	require.True(t, outer.NegTokenResp.SupportedMech.Equal(gssapi.OIDKRB5.OID()))
	s.requireMutual(t, outer.NegTokenResp.ResponseToken)
}

func (s Sent) requireMutual(t testing.TB, mechanism []byte) {
	t.Helper()
	var inner spnego.KRB5Token
	require.NoError(t, inner.Unmarshal(mechanism))
	require.True(t, inner.IsAPRep())
	data, err := crypto.DecryptEncPart(inner.APRep.EncPart, s.ticket.key, keyusage.AP_REP_ENCPART)
	require.NoError(t, err)
	var part messages.EncAPRepPart
	require.NoError(t, part.Unmarshal(data))
	require.Equal(t, s.made.CTime.Unix(), part.CTime.Unix())
	require.Equal(t, s.made.Cusec, part.Cusec)
}
