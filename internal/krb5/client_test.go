// SPDX-License-Identifier: Apache-2.0

package krb5

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/krberror"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/stretchr/testify/require"
)

// TestTheDefaultCacheIsThatOfKinit, whatever TMPDIR says.
func TestTheDefaultCacheIsThatOfKinit(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	mits := fmt.Sprintf("FILE:/tmp/krb5cc_%d", os.Getuid())
	path := filepath.Join(t.TempDir(), "krb5.conf")
	require.Equal(t, mits, defaultCache(path))
	for text, want := range map[string]string{
		"[libdefaults]\n  default_realm = X\n[realms]\n  default_ccache_name = FILE:/x\n":  mits,
		"[libdefaults]\n# default_ccache_name = FILE:/x\n":                                 mits,
		"[libdefaults]\n\tdefault_ccache_name = FILE:/run/t_%{uid}\n":                      fmt.Sprintf("FILE:/run/t_%d", os.Getuid()),
		"[realms]\n[libdefaults]\ndefault_ccache_name=KCM:\ndefault_ccache_name=FILE:/x\n": "KCM:",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.Equal(t, want, defaultCache(path), text)
	}
}

// TestCachesThatAreLookedInto: KRB5CCNAME wins over krb5.conf.
func TestCachesThatAreLookedInto(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "krb5.conf")
	negotiate := func(cache, byDefault string) error {
		require.NoError(t, os.WriteFile(path, []byte("[libdefaults]\n default_ccache_name = "+byDefault+"\n"), 0o600))
		_, err := Negotiate("h", func(name string) string { return map[string]string{"KRB5_CONFIG": path, "KRB5CCNAME": cache}[name] })
		return err
	}
	require.ErrorContains(t, negotiate("", "FILE:"+dir+"/default"), "no tickets in "+dir+"/default: run kinit")
	require.ErrorContains(t, negotiate("FILE:"+dir+"/own", "FILE:"+dir+"/default"), "no tickets in "+dir+"/own: run kinit")
	for _, kind := range []string{"KCM", "KEYRING", "DIR"} {
		require.ErrorContains(t, negotiate("", kind+":x"), "of type "+kind+" cannot be read here: run KRB5CCNAME=FILE:")
	}
}

func TestServicesThatTheKDCDoesNotKnow(t *testing.T) {
	fault := func(code int32) error {
		err := krberror.Errorf(messages.KRBError{ErrorCode: code, EText: "LOOKING_UP_SERVER"}, krberror.KDCError, "TGS Exchange Error")
		return noTicket("g", fmt.Errorf("could not initialize context: %v", err))
	}
	require.EqualError(t, fault(errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN), "the KDC does not know HTTP/g: call the gateway by the name in its kyuubi.spnego.principal: "+
		"(7) KDC_ERR_S_PRINCIPAL_UNKNOWN Server not found in Kerberos database")
	require.ErrorContains(t, fault(errorcode.KDC_ERR_POLICY), "no ticket for HTTP/g")
}
