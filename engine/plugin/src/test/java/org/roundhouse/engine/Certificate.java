// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A certificate for localhost, which new ZooKeeper servers of this JVM have until it is closed. */
record Certificate(Path pem) implements AutoCloseable {

  private static final String PASSWORD = "changeit";
  private static final String STORE = "zookeeper.ssl.keyStore.location";
  private static final String STORE_PASSWORD = "zookeeper.ssl.keyStore.password";
  private static final String CLIENT_AUTH = "zookeeper.ssl.clientAuth";

  static Certificate make(Path dir, String name) throws Exception {
    Path store = dir.resolve(name + ".p12");
    Path pem = dir.resolve(name + ".pem");
    keytool(store, "-genkeypair", "-keyalg", "EC", "-dname", "CN=localhost", "-alias", "server",
        "-ext", "san=dns:localhost,ip:127.0.0.1");
    keytool(store, "-exportcert", "-rfc", "-alias", "server", "-file", pem.toString());
    System.setProperty(STORE, store.toString());
    System.setProperty(STORE_PASSWORD, PASSWORD);
    System.setProperty(CLIENT_AUTH, "none");
    return new Certificate(pem);
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
