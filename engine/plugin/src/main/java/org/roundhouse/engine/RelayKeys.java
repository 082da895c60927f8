// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

/**
 * What the relay needs to know itself and its callers.
 *
 * @param key its private key (PKCS 8, base64)
 * @param certificate its certificate (DER, base64)
 * @param caller SHA-256 of the DER form of the gateways' certificate for this engine, lower-case hex
 */
record RelayKeys(String key, String certificate, String caller) {

  /** Names no secret. */
  @Override
  public String toString() {
    return "RelayKeys[hidden]";
  }
}
