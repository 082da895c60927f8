// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import java.util.HashMap;
import java.util.Map;

/** What several tests start from. */
final class Fixtures {

  static final Keys KEYS =
      new Keys("ab".repeat(32), "cd".repeat(32), "ef".repeat(32), "01".repeat(32), null);
  static final String REF_ID = "7f3c2f60-0000-4000-8000-000000000001";

  private Fixtures() {}

  /** Settings without any timeout, except those given. */
  static Settings settings(String gateway, Map<String, String> more) {
    Map<String, String> conf = new HashMap<>();
    conf.put("spark.kyuubi.ha.engine.ref.id", REF_ID);
    conf.put("spark.kyuubi.ha.namespace", "/kyuubi_1_USER_SPARK_CONNECT/alice/default");
    conf.put("spark.kyuubi.engine.key.file", "engine.key");
    conf.put("spark.kyuubi.engine.gateway.url", gateway);
    conf.putAll(more);
    return Settings.read(conf::get, 0);
  }

  static Settings settings(Map<String, String> more) {
    return settings("http://127.0.0.1:10099", more);
  }
}
