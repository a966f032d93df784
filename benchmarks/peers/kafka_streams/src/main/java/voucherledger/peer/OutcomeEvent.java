package voucherledger.peer;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.nio.charset.StandardCharsets;

/**
 * Writes {@code voucher.granted} and {@code voucher.rejected} as CloudEvents JSON. One instance a processor: it reuses
 * its buffer, and is not for use by several threads.
 */
final class OutcomeEvent {

    private static final int TYPICAL_LENGTH = 512;

    private final JsonStringEncoder encoder = JsonStringEncoder.getInstance();
    private final StringBuilder json = new StringBuilder(TYPICAL_LENGTH);
    private final TimeText decidedAt = new TimeText();
    private final TimeText expiresAt = new TimeText();
    private final long faceValueMinor;

    /** @param faceValueMinor the most a voucher can cost, in minor units of the currency */
    OutcomeEvent(long faceValueMinor) {
        this.faceValueMinor = faceValueMinor;
    }

    /**
     * @param eventId made of the command's topic, partition and offset, and the event's index
     * @param decidedAtMs the command's Kafka timestamp, in milliseconds since the epoch
     * @return the event's UTF-8 bytes
     */
    byte[] granted(String eventId, long decidedAtMs, ClaimCommand command, Grant grant, boolean duplicate) {
        begin(eventId, "voucher.granted", decidedAtMs, command);
        if (duplicate) {
            json.append(",\"duplicate\":true");
        }
        json.append(",\"voucher_id\":");
        quote(grant.voucherId());
        json.append(",\"face_value_minor\":").append(faceValueMinor).append(",\"expires_at\":");
        expiresAt.append(json, grant.expiresAtMs());
        return end();
    }

    /** As {@link #granted}, with the contract's reason for the refusal. */
    byte[] rejected(String eventId, long decidedAtMs, ClaimCommand command, String reason) {
        begin(eventId, "voucher.rejected", decidedAtMs, command);
        json.append(",\"reason\":");
        quote(reason);
        return end();
    }

    private void begin(String eventId, String type, long decidedAtMs, ClaimCommand command) {
        json.setLength(0);
        json.append("{\"specversion\":\"1.0\",\"source\":\"kafka-streams-peer\",\"id\":");
        quote(eventId);
        json.append(",\"type\":");
        quote(type);
        json.append(",\"time\":");
        decidedAt.append(json, decidedAtMs);
        json.append(",\"data\":{\"campaign_id\":");
        quote(command.campaignId());
        json.append(",\"user_id\":");
        quote(command.userId());
        json.append(",\"command_id\":");
        quote(command.commandId());
    }

    private byte[] end() {
        return json.append("}}").toString().getBytes(StandardCharsets.UTF_8);
    }

    private void quote(String text) {
        json.append('"');
        encoder.quoteAsString(text, json);
        json.append('"');
    }
}
