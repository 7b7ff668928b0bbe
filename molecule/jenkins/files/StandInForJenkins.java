import com.sun.net.httpserver.HttpServer;
import java.io.File;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;

/**
 * A stand-in for Jenkins, for the test of role jenkins: no Jenkins. It understands the options with which the unit
 * starts the war, reads what Jenkins would read, and says so at /login, with the header by which Jenkins tells its
 * version.
 */
public class StandInForJenkins {
    private static String option(String[] arguments, String name, String otherwise) {
        for (String argument : arguments) {
            if (argument.startsWith("--" + name + "=")) {
                return argument.substring(name.length() + 3);
            }
        }
        return otherwise;
    }

    private static String version() throws Exception {
        try (InputStream stream = StandInForJenkins.class.getResourceAsStream("/version")) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8).trim();
        }
    }

    private static String names(File[] files) {
        StringBuilder found = new StringBuilder();
        if (files != null) {
            java.util.Arrays.sort(files);
            for (File file : files) {
                if (file.isFile() && file.canRead()) {
                    found.append(' ').append(file.getName());
                }
            }
        }
        return found.toString();
    }

    public static void main(String[] arguments) throws Exception {
        // As Jenkins does before all else: where Java can't draw text, it does not start.
        new java.awt.Font("SansSerif", java.awt.Font.PLAIN, 12).getFamily();
        String address = option(arguments, "httpListenAddress", "0.0.0.0");
        int port = Integer.parseInt(option(arguments, "httpPort", "8080"));
        Path home = Paths.get(System.getenv("JENKINS_HOME"));
        Path casc = Paths.get(System.getenv("CASC_JENKINS_CONFIG"));
        String version = version();
        Files.write(home.resolve("stand-in-started"), version.getBytes(StandardCharsets.UTF_8));
        Path workspace = Files.createDirectories(home.resolve("workspace"));
        Files.write(workspace.resolve("large"), new byte[1000]);

        String text = "This is a stand-in for Jenkins and no Jenkins\nversion " + version
            + "\nplugins" + names(home.resolve("plugins").toFile().listFiles())
            + "\nconfiguration" + names(casc.toFile().listFiles())
            + "\nsecrets" + names(casc.resolveSibling("secrets").toFile().listFiles()) + "\n";
        HttpServer server = HttpServer.create(new InetSocketAddress(address, port), 0);
        server.createContext("/login", exchange -> {
            byte[] answer = text.getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("X-Jenkins", version);
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }
}
