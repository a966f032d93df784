package voucherledger.peer;

import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** Commands in, one processor with two stores, events out. */
final class ClaimsTopology {

    static final String GRANTS_BY_USER = "grants-by-user";
    static final String REMAINING_BY_CAMPAIGN = "remaining-by-campaign";

    private ClaimsTopology() {}

    /** Where the state is kept while the application runs; both kinds are backed by a changelog topic. */
    enum StoreKind {
        ROCKSDB,
        MEMORY;

        private KeyValueBytesStoreSupplier supplier(String name) {
            return this == ROCKSDB ? Stores.persistentKeyValueStore(name) : Stores.inMemoryKeyValueStore(name);
        }
    }

    /**
     * @param cacheGrants whether grants, too, pass through the record cache
     */
    static Topology build(String input, String output, StoreKind kind, boolean cacheGrants, Campaign campaign) {
        StoreBuilder<KeyValueStore<byte[], byte[]>> grants = Stores.keyValueStoreBuilder(
                kind.supplier(GRANTS_BY_USER), Serdes.ByteArray(), Serdes.ByteArray());
        // One key, written for each grant: the cache makes that one store and changelog write a commit.
        StoreBuilder<KeyValueStore<String, Long>> remaining = Stores.keyValueStoreBuilder(
                        kind.supplier(REMAINING_BY_CAMPAIGN), Serdes.String(), Serdes.Long())
                .withCachingEnabled();
        return new Topology()
                .addSource("commands", new ByteArrayDeserializer(), new ByteArrayDeserializer(), input)
                .addProcessor("decide", () -> new ClaimProcessor(campaign), "commands")
                .addStateStore(cacheGrants ? grants.withCachingEnabled() : grants, "decide")
                .addStateStore(remaining, "decide")
                .addSink("events", output, new ByteArraySerializer(), new ByteArraySerializer(), "decide");
    }
}
