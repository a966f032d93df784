"""Turns due vouchers and holds into commands, so that time too goes through the topics and a replay sees it."""

from voucher_ledger.sweeper.loop import run

__all__ = ["run"]
