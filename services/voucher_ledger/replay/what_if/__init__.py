"""`voucher-ledger replay what-if`: a past day's commands decided again under changed rules, in a sandbox."""
