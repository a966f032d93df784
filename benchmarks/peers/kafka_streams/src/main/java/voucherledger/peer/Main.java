package voucherledger.peer;

import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * Runs the peer until a signal stops it or it fails (exit 1); wrong usage is exit 2. Prints RUNNING on a line of
 * its own, on standard output, once it is deciding. Options, each with a value:
 *
 * <pre>
 * --bootstrap --application-id --input --output --state-dir    needed
 * --store rocksdb|memory  --threads  --quota  --commit-interval-ms  --set name=value    override peer.properties
 * </pre>
 */
public final class Main {

    private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(20);
    private static final long DESCRIBE_TIMEOUT_SECONDS = 20;
    private static final String INPUT = "peer.input";
    private static final String OUTPUT = "peer.output";

    private static final Map<String, String> PROPERTY_BY_OPTION = Map.of(
            "--bootstrap", StreamsConfig.BOOTSTRAP_SERVERS_CONFIG,
            "--application-id", StreamsConfig.APPLICATION_ID_CONFIG,
            "--state-dir", StreamsConfig.STATE_DIR_CONFIG,
            "--threads", StreamsConfig.NUM_STREAM_THREADS_CONFIG,
            "--commit-interval-ms", StreamsConfig.COMMIT_INTERVAL_MS_CONFIG,
            "--input", INPUT,
            "--output", OUTPUT,
            "--store", "peer.store",
            "--quota", "peer.quota");

    private static final List<String> NEEDED_OPTIONS =
            List.of("--bootstrap", "--application-id", "--input", "--output", "--state-dir");

    private Main() {}

    /** See the class. */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        Properties settings = new Properties();
        try (InputStream file = Main.class.getResourceAsStream("/peer.properties")) {
            settings.load(file);
        }
        Topology topology;
        try {
            readOptions(arguments, settings);
            topology = topology(settings);
        } catch (IllegalArgumentException error) {
            System.err.println("usage: " + error.getMessage());
            System.exit(2);
            return;
        } catch (ExecutionException | TimeoutException error) {
            System.err.printf(
                    "cannot describe topic %s at %s: %s; is the broker up, does the topic exist?%n",
                    settings.getProperty(INPUT), settings.getProperty(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG), error);
            System.exit(1);
            return;
        }
        System.exit(run(topology, settings));
    }

    private static void readOptions(String[] arguments, Properties settings) {
        for (int index = 0; index < arguments.length; index += 2) {
            String option = arguments[index];
            if (index + 1 == arguments.length) {
                throw new IllegalArgumentException(option + " needs a value");
            }
            String value = arguments[index + 1];
            if (option.equals("--set") && value.indexOf('=') > 0) {
                settings.setProperty(
                        value.substring(0, value.indexOf('=')), value.substring(value.indexOf('=') + 1));
            } else if (PROPERTY_BY_OPTION.containsKey(option)) {
                settings.setProperty(PROPERTY_BY_OPTION.get(option), value);
            } else {
                throw new IllegalArgumentException("unknown option " + option + " " + value);
            }
        }
        for (String option : NEEDED_OPTIONS) {
            if (!settings.containsKey(PROPERTY_BY_OPTION.get(option))) {
                throw new IllegalArgumentException(option + " is missing");
            }
        }
    }

    private static Topology topology(Properties settings)
            throws ExecutionException, TimeoutException, InterruptedException {
        String input = settings.getProperty(INPUT);
        ClaimsTopology.StoreKind kind =
                ClaimsTopology.StoreKind.valueOf(settings.getProperty("peer.store").toUpperCase(Locale.ROOT));
        Campaign campaign = new Campaign(
                Long.parseLong(settings.getProperty("peer.quota")),
                partitionCount(input, settings.getProperty(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG)),
                Integer.parseInt(settings.getProperty("peer.per.user.limit")),
                Long.parseLong(settings.getProperty("peer.face.value.minor")),
                Long.parseLong(settings.getProperty("peer.voucher.ttl.ms")));
        boolean cacheGrants = Boolean.parseBoolean(settings.getProperty("peer.claims.cache"));
        return ClaimsTopology.build(input, settings.getProperty(OUTPUT), kind, cacheGrants, campaign);
    }

    private static int partitionCount(String topic, String bootstrap)
            throws ExecutionException, TimeoutException, InterruptedException {
        try (Admin admin = Admin.create(Map.of(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, (Object) bootstrap))) {
            return admin.describeTopics(List.of(topic))
                    .allTopicNames()
                    .get(DESCRIBE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
                    .get(topic)
                    .partitions()
                    .size();
        }
    }

    private static int run(Topology topology, Properties settings) throws InterruptedException {
        KafkaStreams streams = new KafkaStreams(topology, settings);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("RUNNING");
            }
            if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) {
                ended.countDown();
            }
        });
        // A signal ends the process with the exit code of the signal; its last transaction is committed all the same.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(CLOSE_TIMEOUT), "close"));
        streams.start();
        ended.await();
        return streams.state() == KafkaStreams.State.ERROR ? 1 : 0;
    }
}
