// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.net.Socket;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.HexFormat;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * Knows the callers of the relay by the one certificate that the gateways of the cluster derive for
 * this engine. That a caller has its key is proved by the handshake; nothing else in it counts.
 */
final class RelayCallers extends X509ExtendedTrustManager {

  private final byte[] expected;

  /**
   * Accepts one certificate.
   *
   * @param hash SHA-256 of its DER form, 64 hex digits
   * @throws GeneralSecurityException if it is none
   */
  RelayCallers(String hash) throws GeneralSecurityException {
    if (!Keys.HEX.matcher(hash).matches()) {
      throw new GeneralSecurityException(
          "the key file has no valid relay.client, which says whom the relay lets in");
    }
    expected = HexFormat.of().parseHex(hash);
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String type) throws CertificateException {
    if (!MessageDigest.isEqual(expected, sha256(chain[0].getEncoded()))) {
      throw new CertificateException("The caller is no gateway of this cluster.");
    }
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket)
      throws CertificateException {
    checkClientTrusted(chain, type);
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine)
      throws CertificateException {
    checkClientTrusted(chain, type);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String type) throws CertificateException {
    throw new CertificateException("The relay calls nobody.");
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket)
      throws CertificateException {
    checkServerTrusted(chain, type);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine)
      throws CertificateException {
    checkServerTrusted(chain, type);
  }

  /** Names no authority: callers have one certificate to show. */
  @Override
  public X509Certificate[] getAcceptedIssuers() {
    return new X509Certificate[0];
  }

  private static byte[] sha256(byte[] bytes) throws CertificateException {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (GeneralSecurityException e) {
      throw new CertificateException("This Java has no SHA-256.", e);
    }
  }
}
