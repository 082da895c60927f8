// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.HexFormat;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;

/**
 * What the relay shows gateways, and whom it lets in.
 *
 * @param tls has the key and the certificate, and knows the callers
 * @param fingerprint SHA-256 of the certificate's DER form, lower-case hex
 */
record RelayIdentity(SSLContext tls, String fingerprint) {

  private static final char[] NO_PASSWORD = new char[0]; // The store never leaves memory.

  /**
   * Reads key (of kind EC) and certificate.
   *
   * @throws GeneralSecurityException if this Java cannot use them, or no caller is named
   */
  static RelayIdentity of(RelayKeys keys) throws GeneralSecurityException, IOException {
    TrustManager callers = new RelayCallers(keys.caller());
    PrivateKey secret;
    byte[] shown;
    try {
      Base64.Decoder base64 = Base64.getDecoder();
      shown = base64.decode(keys.certificate());
      secret =
          KeyFactory.getInstance("EC")
              .generatePrivate(new PKCS8EncodedKeySpec(base64.decode(keys.key())));
    } catch (IllegalArgumentException e) {
      throw new GeneralSecurityException("the key or the certificate of the relay is no base64");
    }
    Certificate[] chain = {
      CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(shown))
    };
    String fingerprint =
        HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(shown));
    return new RelayIdentity(context(secret, chain, callers), fingerprint);
  }

  private static SSLContext context(PrivateKey key, Certificate[] chain, TrustManager callers)
      throws GeneralSecurityException, IOException {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, NO_PASSWORD);
    store.setKeyEntry("relay", key, NO_PASSWORD, chain);
    KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    keys.init(store, NO_PASSWORD);
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(keys.getKeyManagers(), new TrustManager[] {callers}, null);
    return tls;
  }
}
