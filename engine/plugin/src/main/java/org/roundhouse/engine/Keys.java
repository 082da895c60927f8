// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * The secrets of one engine. Each is 64 hex digits, and the text itself is the key material.
 *
 * @param rpc bearer token of the Connect port
 * @param register key of the MACs towards the gateway
 * @param control bearer token of the control endpoint
 * @param zooKeeper password of the engine in ZooKeeper; empty if it does not register there
 * @param relay what the relay has of its own; null without a relay
 */
record Keys(String rpc, String register, String control, String zooKeeper, RelayKeys relay) {

  /** 32 bytes as text. */
  static final Pattern HEX = Pattern.compile("[0-9a-f]{64}");

  /**
   * Reads the key file and deletes it, so that nothing which runs in the driver later finds it.
   *
   * @param withZooKeeper whether the key for ZooKeeper has to be there
   * @param withRelay whether key and certificate of the relay have to be there
   * @throws IOException if the file cannot be read, lacks a key or cannot be deleted
   */
  static Keys take(Path file, boolean withZooKeeper, boolean withRelay) throws IOException {
    Properties p = new Properties();
    try {
      p.load(new StringReader(Files.readString(file, StandardCharsets.US_ASCII)));
    } finally {
      Files.deleteIfExists(file);
    }
    return new Keys(
        key(p, "rpc", file),
        key(p, "register", file),
        key(p, "control", file),
        withZooKeeper ? key(p, "zk", file) : "",
        withRelay ? relay(p, file) : null);
  }

  /** The same without those of the relay. */
  Keys withoutRelay() {
    return new Keys(rpc, register, control, zooKeeper, null);
  }

  /** HMAC-SHA256 of the parts, one after the other, under the {@code register} key; lower-case hex. */
  String mac(byte[]... parts) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(register.getBytes(StandardCharsets.US_ASCII), "HmacSHA256"));
      for (byte[] part : parts) {
        mac.update(part);
      }
      return HexFormat.of().formatHex(mac.doFinal());
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("This Java has no HmacSHA256.", e);
    }
  }

  /** All secrets, for masking. */
  List<String> secrets() {
    String relayKey = relay == null ? "" : relay.key();
    return Stream.of(rpc, register, control, zooKeeper, relayKey).filter(s -> !s.isEmpty()).toList();
  }

  /** Names no secret. */
  @Override
  public String toString() {
    return "Keys[hidden]";
  }

  private static String key(Properties p, String name, Path file) throws IOException {
    String value = present(p, name, file);
    if (!HEX.matcher(value).matches()) {
      throw new IOException("The key file " + file + " has no valid key '" + name + "'.");
    }
    return value;
  }

  private static RelayKeys relay(Properties p, Path file) throws IOException {
    return new RelayKeys(
        present(p, "relay.key", file),
        present(p, "relay.certificate", file),
        present(p, "relay.client", file));
  }

  private static String present(Properties p, String name, Path file) throws IOException {
    String value = p.getProperty(name, "").trim();
    if (value.isEmpty()) {
      throw new IOException("The key file " + file + " has no '" + name + "'.");
    }
    return value;
  }
}
