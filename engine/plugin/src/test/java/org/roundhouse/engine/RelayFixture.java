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
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

/**
 * The relay's keys as a gateway writes them, and its clients.
 *
 * @param keys of the relay
 * @param fingerprint of the relay's certificate
 * @param caller file with what clients show; null for nothing
 */
record RelayFixture(RelayKeys keys, String fingerprint, Path caller) {

  private static final char[] PASSWORD = Certificate.PASSWORD.toCharArray();

  static RelayFixture make(Path dir) throws Exception {
    KeyStore store = load(Certificate.store(dir, "relay", "EC"));
    Path caller = Certificate.store(dir, "caller", "Ed25519");
    byte[] certificate = store.getCertificate(Certificate.ALIAS).getEncoded();
    Base64.Encoder base64 = Base64.getEncoder();
    RelayKeys keys =
        new RelayKeys(
            base64.encodeToString(store.getKey(Certificate.ALIAS, PASSWORD).getEncoded()),
            base64.encodeToString(certificate),
            sha256(load(caller).getCertificate(Certificate.ALIAS).getEncoded()));
    return new RelayFixture(keys, sha256(certificate), caller);
  }

  /** The same relay with other clients. */
  RelayFixture as(Path other) {
    return new RelayFixture(keys, fingerprint, other);
  }

  RelayIdentity identity() throws Exception {
    RelayIdentity identity = RelayIdentity.of(keys);
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
    tls.init(shown(), new TrustManager[] {new Pin()}, null);
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

  private KeyManager[] shown() throws IOException, GeneralSecurityException {
    if (caller == null) {
      return null;
    }
    var factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    factory.init(load(caller), PASSWORD);
    return factory.getKeyManagers();
  }

  private static KeyStore load(Path file) throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(file)) {
      store.load(in, PASSWORD);
    }
    return store;
  }

  private static String sha256(byte[] bytes) throws GeneralSecurityException {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }

  /** Trusts the one certificate. */
  private final class Pin implements X509TrustManager {
    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type)
        throws CertificateException {
      if (!Base64.getEncoder().encodeToString(chain[0].getEncoded()).equals(keys.certificate())) {
        throw new CertificateException("another certificate");
      }
    }

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }
}
