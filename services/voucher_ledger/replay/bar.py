"""The bar of `produce`, for who reads topics."""

from voucher_ledger.produce import bar
from voucher_ledger.replay.topic_reader import Progress


class Bar(bar.Bar, Progress):
    """Takes the progress of a read."""
