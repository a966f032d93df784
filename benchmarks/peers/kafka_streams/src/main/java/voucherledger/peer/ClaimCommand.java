package voucherledger.peer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;

/**
 * A {@code voucher.claim} command, read from CloudEvents JSON.
 *
 * @param commandId the CloudEvents id
 * @param cityTier 1 to 6, or 0 where the command names none
 * @param channel empty where the command names none
 */
record ClaimCommand(String commandId, String campaignId, String userId, int cityTier, String channel) {

    private static final JsonFactory JSON = new JsonFactory();

    /**
     * @throws IOException when the bytes are not JSON, not a claim, or carry an unknown field in their data
     */
    static ClaimCommand parse(byte[] bytes) throws IOException {
        String commandId = null;
        String type = null;
        ClaimCommand claim = null;
        try (JsonParser parser = JSON.createParser(bytes)) {
            expect(parser.nextToken() == JsonToken.START_OBJECT, "a command must be a JSON object");
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                JsonToken value = parser.nextToken();
                switch (name) {
                    case "id" -> commandId = text(parser, value, name);
                    case "type" -> type = text(parser, value, name);
                    case "data" -> claim = parseData(parser, value);
                    default -> parser.skipChildren();
                }
            }
        }
        expect("voucher.claim".equals(type), "the peer decides voucher.claim only, not " + type);
        expect(commandId != null && claim != null, "a command needs id and data");
        return new ClaimCommand(commandId, claim.campaignId, claim.userId, claim.cityTier, claim.channel);
    }

    private static ClaimCommand parseData(JsonParser parser, JsonToken start) throws IOException {
        String campaignId = null;
        String userId = null;
        int cityTier = 0;
        String channel = "";
        expect(start == JsonToken.START_OBJECT, "data must be a JSON object");
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            switch (name) {
                case "campaign_id" -> campaignId = text(parser, value, name);
                case "user_id" -> userId = text(parser, value, name);
                case "city_tier" -> cityTier = parser.getIntValue();
                case "channel" -> channel = text(parser, value, name);
                default -> throw new IOException("unknown field in data: " + name);
            }
        }
        expect(campaignId != null && userId != null, "data needs campaign_id and user_id");
        return new ClaimCommand(null, campaignId, userId, cityTier, channel);
    }

    private static String text(JsonParser parser, JsonToken value, String name) throws IOException {
        expect(value == JsonToken.VALUE_STRING, name + " must be a string");
        return parser.getText();
    }

    private static void expect(boolean holds, String message) throws IOException {
        if (!holds) {
            throw new IOException(message);
        }
    }
}
