// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.Base64;
import java.util.HexFormat;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

/** The relay's key and certificate as a gateway writes them, and its clients. */
record RelayFixture(String key, String certificate, String fingerprint) {

  private static final String PASSWORD = "changeit";

  static RelayFixture make(Path dir) throws Exception {
    Certificate.make(dir, "relay").close();
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(dir.resolve("relay.p12"))) {
      store.load(in, PASSWORD.toCharArray());
    }
    byte[] certificate = store.getCertificate("server").getEncoded();
    Base64.Encoder base64 = Base64.getEncoder();
    return new RelayFixture(
        base64.encodeToString(store.getKey("server", PASSWORD.toCharArray()).getEncoded()),
        base64.encodeToString(certificate),
        HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(certificate)));
  }

  RelayIdentity identity() throws Exception {
    RelayIdentity identity = RelayIdentity.of(key, certificate);
    assertEquals(fingerprint, identity.fingerprint());
    return identity;
  }

  /** A connection on which nothing has been said. */
  static Socket connect(Relay relay) throws IOException {
    String address = relay.address();
    int port = Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
    return new Socket(InetAddress.getLoopbackAddress(), port);
  }

  /** A client that offers these protocols, after its handshake. */
  SSLSocket client(Relay relay, String version, String... protocols)
      throws IOException, GeneralSecurityException {
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(null, new TrustManager[] {new Pin()}, null);
    Socket wire = connect(relay);
    try {
      SSLSocket client = (SSLSocket) tls.getSocketFactory().createSocket(wire, "relay", 0, true);
      SSLParameters parameters = client.getSSLParameters();
      parameters.setProtocols(new String[] {version});
      parameters.setApplicationProtocols(protocols);
      client.setSSLParameters(parameters);
      client.startHandshake();
      return client;
    } catch (IOException e) {
      wire.close();
      throw e;
    }
  }

  SSLSocket client(Relay relay, String protocol) throws IOException, GeneralSecurityException {
    return client(relay, "TLSv1.3", protocol);
  }

  /** Trusts the one certificate. */
  private final class Pin implements X509TrustManager {
    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type)
        throws CertificateException {
      if (!Base64.getEncoder().encodeToString(chain[0].getEncoded()).equals(certificate)) {
        throw new CertificateException("another certificate");
      }
    }

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }
}
