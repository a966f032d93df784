package voucherledger.peer;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;

/**
 * A granted claim as the store keeps it: enough to answer the same command again with the same outcome.
 *
 * @param expiresAtMs milliseconds since the epoch
 */
record Grant(String commandId, String voucherId, long expiresAtMs, int cityTier, String channel) {

    /** Whether a command with this grant's id also has its content; if not, it conflicts. */
    boolean answers(ClaimCommand command) {
        return cityTier == command.cityTier() && channel.equals(command.channel());
    }

    /** All grants of one user in one campaign, as the store's value. */
    static byte[] encode(List<Grant> grants) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(64 * grants.size());
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeShort(grants.size());
            for (Grant grant : grants) {
                out.writeUTF(grant.commandId);
                out.writeUTF(grant.voucherId);
                out.writeLong(grant.expiresAtMs);
                out.writeByte(grant.cityTier);
                out.writeUTF(grant.channel);
            }
        } catch (IOException error) {
            throw new UncheckedIOException("a grant cannot be stored: an id is longer than 65,535 bytes", error);
        }
        return bytes.toByteArray();
    }

    /** The reverse of {@link #encode}; no value means no grants. */
    static List<Grant> decode(byte[] value) {
        if (value == null) {
            return List.of();
        }
        try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(value))) {
            int count = in.readUnsignedShort();
            List<Grant> grants = new ArrayList<>(count);
            for (int index = 0; index < count; index++) {
                grants.add(new Grant(in.readUTF(), in.readUTF(), in.readLong(), in.readUnsignedByte(), in.readUTF()));
            }
            return grants;
        } catch (IOException error) {
            throw new UncheckedIOException("the store holds grants that were not written by this version", error);
        }
    }
}
