// SPDX-License-Identifier: Apache-2.0

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Base64;
import java.util.Map;
import javax.security.auth.login.AppConfigurationEntry;
import javax.security.auth.login.Configuration;
import org.ietf.jgss.GSSContext;
import org.ietf.jgss.GSSManager;
import org.ietf.jgss.GSSName;
import org.ietf.jgss.Oid;

/**
 * Calls a URL with a ticket of the cache and lets the service prove itself, with the Kerberos of the
 * JDK. Arguments: URL, ticket cache, and the mechanism: spnego or krb5. It prints the status and
 * whether the proof was good.
 */
public final class Negotiate {
  private static final Map<String, String> MECHANISMS =
      Map.of("spnego", "1.3.6.1.5.5.2", "krb5", "1.2.840.113554.1.2.2");

  public static void main(String[] args) throws Exception {
    login(args[1]);
    GSSManager manager = GSSManager.getInstance();
    GSSName service = manager.createName("HTTP@localhost", GSSName.NT_HOSTBASED_SERVICE);
    GSSContext context = manager.createContext(service, new Oid(MECHANISMS.get(args[2])), null, 0);
    context.requestMutualAuth(true);
    byte[] token = context.initSecContext(new byte[0], 0, 0);

    HttpRequest request = HttpRequest.newBuilder(URI.create(args[0]))
        .header("Authorization", "Negotiate " + Base64.getEncoder().encodeToString(token))
        .build();
    HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    String proof = answer.headers().firstValue("WWW-Authenticate").orElse("Negotiate ");
    byte[] reply = Base64.getDecoder().decode(proof.substring("Negotiate ".length()));
    context.initSecContext(reply, 0, reply.length);
    System.out.println(answer.statusCode() + " proved=" + (context.isEstablished() && context.getMutualAuthState()));
  }

  private static void login(String cache) {
    System.setProperty("javax.security.auth.useSubjectCredsOnly", "false");
    Map<String, String> options = Map.of("useTicketCache", "true", "ticketCache", cache, "doNotPrompt", "true");
    AppConfigurationEntry entry = new AppConfigurationEntry("com.sun.security.auth.module.Krb5LoginModule",
        AppConfigurationEntry.LoginModuleControlFlag.REQUIRED, options);
    Configuration.setConfiguration(new Configuration() {
      @Override
      public AppConfigurationEntry[] getAppConfigurationEntry(String name) {
        return new AppConfigurationEntry[] {entry};
      }
    });
  }
}
