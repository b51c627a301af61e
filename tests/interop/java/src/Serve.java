import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

/**
 * A Tomcat that knows nothing of telemetry: the Java agent instruments it, as OTEL_* says. It prints
 * its port, and ends on SIGTERM.
 */
public final class Serve extends HttpServlet {
  private static final HttpClient CLIENT =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  public static void main(String[] arguments) throws Exception {
    Logger.getLogger("org.apache").setLevel(Level.WARNING);
    String folder = Files.createTempDirectory("tomcat").toString();
    Tomcat tomcat = new Tomcat();
    tomcat.setBaseDir(folder);
    tomcat.setHostname("127.0.0.1");
    tomcat.setPort(0);
    tomcat.getConnector().setProperty("address", "127.0.0.1");
    Context context = tomcat.addContext("", folder);
    Tomcat.addServlet(context, "serve", new Serve());
    context.addServletMappingDecoded("/hot", "serve");
    context.addServletMappingDecoded("/orders/*", "serve");
    tomcat.start();
    System.out.println("{\"port\":" + tomcat.getConnector().getLocalPort() + "}");
    tomcat.getServer().await();
  }

  @Override
  protected void service(HttpServletRequest request, HttpServletResponse response)
      throws IOException {
    String next = request.getParameter("next");
    response.setStatus(next == null ? 200 : call(next));
  }

  private static int call(String next) {
    HttpRequest request = HttpRequest.newBuilder(URI.create(next)).build();
    try {
      CLIENT.send(request, HttpResponse.BodyHandlers.discarding());
      return 200;
    } catch (IOException | InterruptedException failed) {
      return 502;
    }
  }
}
