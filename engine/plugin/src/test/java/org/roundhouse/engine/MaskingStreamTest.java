// SPDX-License-Identifier: Apache-2.0

package org.roundhouse.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;

class MaskingStreamTest {

  private static final String TOKEN = "0aa0ab12";

  private final ByteArrayOutputStream log = new ByteArrayOutputStream();
  private final MaskingStream masked = new MaskingStream(log, List.of(TOKEN, "ffee"));

  @Test
  void masksEverySecret() throws IOException {
    write("token=" + TOKEN + TOKEN + ";x=ffee\n");
    assertEquals("token=******;x=***\n", seen());
  }

  @Test
  void masksASecretSplitAtAnyPlaceWithFlushesBetween() throws IOException {
    for (int cut = 0; cut <= TOKEN.length(); cut++) {
      log.reset();
      write("<" + TOKEN.substring(0, cut));
      masked.flush();
      write(TOKEN.substring(cut) + ">");
      assertEquals("<***>", seen(), "cut at " + cut);
    }
  }

  @Test
  void masksASecretWrittenByteByByte() throws IOException {
    for (byte b : ("<" + TOKEN + ">").getBytes(StandardCharsets.US_ASCII)) {
      masked.write(b);
    }
    assertEquals("<***>", seen());
  }

  @Test
  void masksASecretAfterAFalseStart() throws IOException {
    write("0aa");
    write(TOKEN + "\n");
    assertEquals("0aa***\n", seen());
  }

  @Test
  void leavesOtherTextAlone() throws IOException {
    write("0aa0ab1 ffe \u00e9\u20ac\n");
    assertEquals("0aa0ab1 ffe \u00e9\u20ac\n", seen());
  }

  @Test
  void showsALineOnceItEnds() throws IOException {
    write("value 0aa0");
    assertEquals("value ", seen());
    write("\n");
    assertEquals("value 0aa0\n", seen());
  }

  @Test
  void masksASecretThatAnotherThreadInterrupts() throws Exception {
    try (var other = Closing.of(Executors.newSingleThreadExecutor())) {
      write("<" + TOKEN.substring(0, 4));
      other.executor().submit(() -> {
        write("[other]\n");
        return null;
      }).get();
      write(TOKEN.substring(4) + ">\n");
    }
    assertEquals("<[other]\n***>\n", seen());
  }

  @Test
  void worksUnderAPrintStream() {
    PrintStream out = new PrintStream(masked, true, StandardCharsets.UTF_8);
    out.print("url sc://localhost:1/;token=");
    out.print(TOKEN.substring(0, 3));
    out.println(TOKEN.substring(3) + " and more");
    assertEquals("url sc://localhost:1/;token=*** and more" + System.lineSeparator(), seen());
  }

  private void write(String text) throws IOException {
    masked.write(text.getBytes(StandardCharsets.UTF_8));
  }

  private String seen() {
    return log.toString(StandardCharsets.UTF_8);
  }
}
