package voucherledger.peer;

import java.time.Instant;

/**
 * Appends times as quoted RFC 3339 in UTC. Neighbouring records share their second, so most need only their
 * milliseconds formatted.
 */
final class TimeText {

    private long formattedSecond = -1;
    private String secondText = "1969-12-31T23:59:59";

    /** @param epochMs milliseconds since the epoch */
    void append(StringBuilder json, long epochMs) {
        long second = Math.floorDiv(epochMs, 1000L);
        if (second != formattedSecond) {
            String text = Instant.ofEpochSecond(second).toString();
            secondText = text.substring(0, text.length() - 1);
            formattedSecond = second;
        }
        int millis = Math.floorMod(epochMs, 1000);
        json.append('"').append(secondText).append('.');
        json.append((char) ('0' + millis / 100)).append((char) ('0' + millis / 10 % 10));
        json.append((char) ('0' + millis % 10)).append("Z\"");
    }
}
