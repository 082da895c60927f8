// SPDX-License-Identifier: Apache-2.0

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.spark.sql.connect.SparkSession;
import org.apache.spark.sql.connect.client.SparkConnectClient;

/**
 * Logs in as often as it is told to, with the JVM client.
 *
 * <p>Each line of standard input is one login: the connection string and, behind a tab, the value
 * of the header {@code authorization}, which may be empty. Each is answered by one JSON object: the
 * event {@code login} with the {@code rows} of a query, or the {@code text} of the error. The sessions
 * stay open until the program ends with its input.
 */
public final class JvmLogins {
  private JvmLogins() {}

  public static void main(String[] args) throws Exception {
    BufferedReader input =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    ObjectMapper json = new ObjectMapper();
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      String[] login = line.split("\t", -1);
      System.out.println(json.writeValueAsString(result(login[0], login[1])));
    }
    // The channels keep threads: without this the program would not end.
    System.exit(0);
  }

  private static Map<String, Object> result(String remote, String authorization) {
    try {
      SparkConnectClient.Builder client = SparkConnectClient.builder().connectionString(remote);
      if (!authorization.isEmpty()) {
        client.option("authorization", authorization);
      }
      SparkSession spark = SparkSession.builder().client(client.build()).create();
      return Map.of("event", "login", "rows", spark.range(10).collectAsList().size());
    } catch (Exception error) {
      return Map.of("event", "login", "text", error.toString());
    }
  }
}
