package voucherledger.peer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;

/** Writes {@code voucher.granted} and {@code voucher.rejected} as CloudEvents JSON. */
final class OutcomeEvent {

    private static final JsonFactory JSON = new JsonFactory();
    private static final int TYPICAL_BYTES = 512;

    private OutcomeEvent() {}

    /**
     * @param eventId made of the command's topic, partition and offset, and the event's index
     * @param decidedAtMs the command's Kafka timestamp, in milliseconds since the epoch
     */
    static byte[] granted(
            String eventId, long decidedAtMs, ClaimCommand command, Grant grant, long faceValueMinor, boolean duplicate) {
        return write(eventId, "voucher.granted", decidedAtMs, command, json -> {
            if (duplicate) {
                json.writeBooleanField("duplicate", true);
            }
            json.writeStringField("voucher_id", grant.voucherId());
            json.writeNumberField("face_value_minor", faceValueMinor);
            json.writeStringField("expires_at", Instant.ofEpochMilli(grant.expiresAtMs()).toString());
        });
    }

    /** As {@link #granted}, with the contract's reason for the refusal. */
    static byte[] rejected(String eventId, long decidedAtMs, ClaimCommand command, String reason) {
        return write(
                eventId, "voucher.rejected", decidedAtMs, command, json -> json.writeStringField("reason", reason));
    }

    private interface Fields {
        void writeTo(JsonGenerator json) throws IOException;
    }

    private static byte[] write(String eventId, String type, long decidedAtMs, ClaimCommand command, Fields fields) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(TYPICAL_BYTES);
        try (JsonGenerator json = JSON.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeStringField("specversion", "1.0");
            json.writeStringField("id", eventId);
            json.writeStringField("source", "kafka-streams-peer");
            json.writeStringField("type", type);
            json.writeStringField("time", Instant.ofEpochMilli(decidedAtMs).toString());
            json.writeObjectFieldStart("data");
            json.writeStringField("campaign_id", command.campaignId());
            json.writeStringField("user_id", command.userId());
            json.writeStringField("command_id", command.commandId());
            fields.writeTo(json);
            json.writeEndObject();
            json.writeEndObject();
        } catch (IOException error) {
            throw new UncheckedIOException("an event cannot be written to memory", error);
        }
        return bytes.toByteArray();
    }
}
