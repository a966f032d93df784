"""`voucher-ledger simulate`: the campaign's day, made from a seed and played against the running processors."""
