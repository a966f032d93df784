package voucherledger.peer;

/**
 * What the peer knows of a campaign; every campaign it meets has these terms.
 *
 * @param quota vouchers in the whole campaign, shared out evenly over the partitions
 * @param partitionCount partitions of the command topic
 * @param perUserLimit vouchers that one user may be granted
 * @param faceValueMinor the most a voucher can cost, in minor units of the currency
 * @param voucherTtlMs how long a voucher lives after its claim, in milliseconds
 */
record Campaign(long quota, int partitionCount, int perUserLimit, long faceValueMinor, long voucherTtlMs) {

    /** The quota that one partition grants from: its shares sum to the whole quota. */
    long quotaOfPartition(int partition) {
        long share = quota / partitionCount;
        return partition < quota % partitionCount ? share + 1 : share;
    }
}
