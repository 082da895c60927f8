// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

/** Makes the engine known to gateways until it is taken back: at one gateway, or in ZooKeeper. */
interface Registration {

  /** The first pause before something is tried again, milliseconds; later ones double. */
  long FIRST_RETRY_MS = 200;

  /** Hears how the registration goes, on the registration's thread. */
  interface Listener {
    /** The first registration succeeded; {@code warmUp} if no client waits for the engine. */
    void registered(boolean warmUp);

    /** Somebody else took the registration back: the engine serves its sessions and ends. */
    void deregistered();

    /** The engine has to end. */
    void ended(Ending ending);
  }

  /** The registration that the settings ask for; {@link #start} it. */
  static Registration of(Settings settings, Keys keys, Node node, Listener listener) {
    if (settings.zooKeeper() == null) {
      return new GatewayRegistration(
          new GatewayClient(settings, keys), listener, node.name(), settings.giveUpAt());
    }
    return new ZooKeeperRegistration(settings, keys, node, listener);
  }

  /** Begins to register. */
  void start();

  /**
   * Takes the registration back.
   *
   * @param reason a word of the protocol
   * @param detail a sentence for people
   * @param waitMs how long to wait for it
   * @return whether the engine may end; false if a session was just sent to it
   */
  boolean takeBack(String reason, String detail, long waitMs) throws InterruptedException;

  /** For how many milliseconds sessions may still come after the registration was taken back. */
  long settleMs();
}
