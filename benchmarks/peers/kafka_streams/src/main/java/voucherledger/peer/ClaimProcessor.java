package voucherledger.peer;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.streams.errors.StreamsException;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Decides claims: duplicate or conflict, then user_limit, then sold_out, else granted. Exactly one event a command.
 *
 * <p>A command that cannot be read stops the application and names its place: the benchmark's input has none, and
 * skipping one would break the count of outcomes.
 */
final class ClaimProcessor implements Processor<byte[], byte[], byte[], byte[]> {

    private static final char KEY_SEPARATOR = 0;

    private final Campaign campaign;
    private final OutcomeEvent outcome;
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> grantsByUser;
    private KeyValueStore<String, Long> remainingByCampaign;

    ClaimProcessor(Campaign campaign) {
        this.campaign = campaign;
        outcome = new OutcomeEvent(campaign.faceValueMinor());
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> processorContext) {
        context = processorContext;
        grantsByUser = processorContext.getStateStore(ClaimsTopology.GRANTS_BY_USER);
        remainingByCampaign = processorContext.getStateStore(ClaimsTopology.REMAINING_BY_CAMPAIGN);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        RecordMetadata cause = context.recordMetadata()
                .orElseThrow(() -> new IllegalStateException("a command came without topic, partition and offset"));
        byte[] event = decide(parse(record, cause), cause, record.timestamp());
        context.forward(new Record<>(record.key(), event, record.timestamp()));
    }

    private byte[] decide(ClaimCommand command, RecordMetadata cause, long decidedAtMs) {
        String eventId = cause.topic() + '/' + cause.partition() + '/' + cause.offset() + "/0";
        byte[] userKey =
                (command.campaignId() + KEY_SEPARATOR + command.userId()).getBytes(StandardCharsets.UTF_8);
        List<Grant> grants = Grant.decode(grantsByUser.get(userKey));
        for (Grant grant : grants) {
            if (grant.commandId().equals(command.commandId())) {
                return grant.answers(command)
                        ? outcome.granted(eventId, decidedAtMs, command, grant, true)
                        : outcome.rejected(eventId, decidedAtMs, command, "conflict");
            }
        }
        if (grants.size() >= campaign.perUserLimit()) {
            return outcome.rejected(eventId, decidedAtMs, command, "user_limit");
        }
        Long stored = remainingByCampaign.get(command.campaignId());
        long remaining = stored == null ? campaign.quotaOfPartition(cause.partition()) : stored;
        if (remaining < 1) {
            return outcome.rejected(eventId, decidedAtMs, command, "sold_out");
        }
        Grant grant = new Grant(
                command.commandId(),
                "v-" + cause.partition() + '-' + cause.offset(),
                decidedAtMs + campaign.voucherTtlMs(),
                command.cityTier(),
                command.channel());
        List<Grant> extended = new ArrayList<>(grants);
        extended.add(grant);
        grantsByUser.put(userKey, Grant.encode(extended));
        remainingByCampaign.put(command.campaignId(), remaining - 1);
        return outcome.granted(eventId, decidedAtMs, command, grant, false);
    }

    private static ClaimCommand parse(Record<byte[], byte[]> record, RecordMetadata cause) {
        try {
            if (record.value() == null) {
                throw new IOException("the record has no value");
            }
            return ClaimCommand.parse(record.value());
        } catch (IOException error) {
            throw new StreamsException(
                    "cannot read the command at " + cause.topic() + '/' + cause.partition() + '/' + cause.offset()
                            + ": " + error.getMessage() + "; give the peer a topic of valid claims",
                    error);
        }
    }
}
