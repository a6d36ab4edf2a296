// Sessions of Java's HTTP client with documents that promise at the same time:
//   java Sessions.java ORIGIN DOCUMENTS HOW SESSIONS SEED [MOST]
// DOCUMENTS is a file of paths, one a line. A session asks for one, by Upgrade: h2c, and then for 1 to MOST at once. HOW
// is one of
//   take     takes every push
//   refuse   refuses pushes and cancels documents at random
// The client itself takes no promise whose id is not the one after the last.
// Prints a line for each session that failed, and {sessions, documents, pushes} at the end.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpResponse.PushPromiseHandler;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Sessions {
    private static final Pattern TARGET = Pattern.compile("<([^>]*)>");
    private static final long DEADLINE = 15;

    private final String origin;
    private final boolean refuses;
    private final Random random;
    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build();
    private final Map<String, CompletableFuture<HttpResponse<byte[]>>> pushes = new ConcurrentHashMap<>();
    private final Set<String> twice = ConcurrentHashMap.newKeySet();
    private final Set<String> named = new TreeSet<>();

    private Sessions(String origin, String how, Random random) {
        this.origin = origin;
        this.refuses = how.equals("refuse");
        this.random = random;
    }

    /** What the origin has at a path: its lines are numbered, and cut at the length that the path ends in. */
    private static byte[] expected(String path) {
        int length = Integer.parseInt(path.substring(path.lastIndexOf('-') + 1));
        StringBuilder text = new StringBuilder();
        for (int n = 0; text.length() < length; n++) {
            text.append(path).append(' ').append(n).append('\n');
        }
        return text.substring(0, length).getBytes(StandardCharsets.US_ASCII);
    }

    private static void check(String path, HttpResponse<byte[]> response) {
        if (response.statusCode() != 200 || response.version() != HttpClient.Version.HTTP_2) {
            throw new IllegalStateException(path + ": " + response.statusCode() + " over " + response.version());
        }
        if (!Arrays.equals(response.body(), expected(path))) {
            throw new IllegalStateException(path + ": " + response.body().length + " bytes that are not the origin's");
        }
    }

    private CompletableFuture<HttpResponse<byte[]>> ask(String path) {
        HttpRequest request =
                HttpRequest.newBuilder(URI.create(origin + path)).timeout(Duration.ofSeconds(DEADLINE)).build();
        return client.sendAsync(request, BodyHandlers.ofByteArray(), new Takes());
    }

    private class Takes implements PushPromiseHandler<byte[]> {
        @Override
        public void applyPushPromise(
                HttpRequest initiating,
                HttpRequest promised,
                Function<BodyHandler<byte[]>, CompletableFuture<HttpResponse<byte[]>>> take) {
            String path = promised.uri().getPath();
            if (refuses && random.nextInt(3) == 0) {
                return;
            }
            if (pushes.put(path, take.apply(BodyHandlers.ofByteArray())) != null) {
                twice.add(path);
            }
        }
    }

    /** Checks a document, and notes what it names. */
    private void document(String path, HttpResponse<byte[]> response) {
        check(path, response);
        for (String link : response.headers().allValues("link")) {
            Matcher target = TARGET.matcher(link);
            while (target.find()) {
                named.add(target.group(1));
            }
        }
    }

    /** Returns how many documents and pushes came. */
    private int[] run(List<String> paths) throws Exception {
        document(paths.get(0), ask(paths.get(0)).get(DEADLINE, TimeUnit.SECONDS));
        List<String> asked = paths.subList(1, paths.size());
        List<CompletableFuture<HttpResponse<byte[]>>> answers = new ArrayList<>();
        for (String path : asked) {
            answers.add(ask(path));
        }
        Set<Integer> cancelled = new HashSet<>();
        if (refuses) {
            TimeUnit.MILLISECONDS.sleep(random.nextInt(30));
            int one = random.nextInt(2 * answers.size());
            if (one < answers.size() && answers.get(one).cancel(true)) {
                cancelled.add(one);
            }
        }
        for (int n = 0; n < answers.size(); n++) {
            if (!cancelled.contains(n)) {
                document(asked.get(n), answers.get(n).get(DEADLINE, TimeUnit.SECONDS));
            }
        }
        if (!twice.isEmpty()) {
            throw new IllegalStateException("promised twice: " + twice);
        }
        Set<String> missing = new TreeSet<>(named);
        missing.removeAll(pushes.keySet());
        Set<String> more = new TreeSet<>(pushes.keySet());
        more.removeAll(named);
        if (!refuses && missing.size() + more.size() > 0) {
            throw new IllegalStateException("named, not promised: " + missing + "; promised, not named: " + more);
        }
        for (Map.Entry<String, CompletableFuture<HttpResponse<byte[]>>> push : pushes.entrySet()) {
            if (!refuses) {
                check(push.getKey(), push.getValue().get(DEADLINE, TimeUnit.SECONDS));
            }
        }
        return new int[] {paths.size() - cancelled.size(), pushes.size()};
    }

    public static void main(String[] arguments) throws Exception {
        List<String> paths = Files.readAllLines(Path.of(arguments[1]));
        int sessions = Integer.parseInt(arguments[3]);
        int most = arguments.length > 5 ? Integer.parseInt(arguments[5]) : 8;
        int documents = 0;
        int pushes = 0;
        for (int number = 0; number < sessions; number++) {
            Random random = new Random(Long.parseLong(arguments[4]) * 100_003 + number);
            List<String> chosen = new ArrayList<>(paths);
            Collections.shuffle(chosen, random);
            try {
                List<String> asked = chosen.subList(0, 2 + random.nextInt(most));
                int[] came = new Sessions(arguments[0], arguments[2], random).run(asked);
                documents += came[0];
                pushes += came[1];
            } catch (Exception error) {
                System.out.println("failed: java " + arguments[2] + ", seed " + arguments[4] + ", session " + number
                        + ": " + error);
            }
            // A client ends its connections when it is collected.
            if (number % 10 == 9) {
                System.gc();
            }
        }
        System.out.println("{\"sessions\":" + sessions + ",\"documents\":" + documents + ",\"pushes\":" + pushes + "}");
        System.exit(0);
    }
}
