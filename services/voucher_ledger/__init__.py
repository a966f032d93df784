"""Vouchers claimed, reserved and settled exactly once from Kafka into one double-entry ledger."""

__version__ = "0.1.0"
