"""`voucher-ledger plan`: when a campaign's cards run out, what it costs, and the tranches that make them last."""
