// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A certificate for localhost, which new ZooKeeper servers of this JVM have until it is closed. */
record Certificate(Path pem) implements AutoCloseable {

  static final String PASSWORD = "changeit";
  static final String ALIAS = "server";

  private static final String STORE = "zookeeper.ssl.keyStore.location";
  private static final String STORE_PASSWORD = "zookeeper.ssl.keyStore.password";
  private static final String CLIENT_AUTH = "zookeeper.ssl.clientAuth";

  static Certificate make(Path dir, String name) throws Exception {
    Path store = store(dir, name, "EC");
    Path pem = dir.resolve(name + ".pem");
    keytool(store, "-exportcert", "-rfc", "-alias", ALIAS, "-file", pem.toString());
    System.setProperty(STORE, store.toString());
    System.setProperty(STORE_PASSWORD, PASSWORD);
    System.setProperty(CLIENT_AUTH, "none");
    return new Certificate(pem);
  }

  /** A file with a new key and its certificate, which signs itself. */
  static Path store(Path dir, String name, String algorithm) throws Exception {
    Path store = dir.resolve(name + ".p12");
    keytool(store, "-genkeypair", "-keyalg", algorithm, "-dname", "CN=localhost", "-alias", ALIAS,
        "-ext", "san=dns:localhost,ip:127.0.0.1");
    return store;
  }

  private static void keytool(Path store, String... args) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
    command.addAll(List.of(args));
    command.addAll(List.of("-storetype", "PKCS12", "-storepass", PASSWORD));
    command.addAll(List.of("-keystore", store.toString()));
    assertEquals(0, new ProcessBuilder(command).inheritIO().start().waitFor());
  }

  @Override
  public void close() {
    List.of(STORE, STORE_PASSWORD, CLIENT_AUTH).forEach(System::clearProperty);
  }
}
