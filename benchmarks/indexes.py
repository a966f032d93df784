"""`python -m benchmarks.indexes`: what the ledger's rows and their indexes cost: the CPU of a Postgres backend a claim.

Batch after batch of claims is decided and committed on real ledgers, in turn: one as it is, and each of the others
with one part taken out. What a part costs is the difference in pairs. It says what the guarantee that the part gives
is paid with; none of them is a choice that the ledger offers.
"""

import argparse
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString
from unittest import mock

import psycopg

from benchmarks import traffic
from benchmarks.observing import AS_OPERATED, Measurement, compare, nothing
from benchmarks.world import Servers, fresh_world, servers
from voucher_ledger.ledger import accounts
from voucher_ledger.runtime import postgres

WHOLE = "as it is"
NO_TRANSFERS = "the transfers themselves"
# The name of what is taken out, and how. The users' index is not among them: claims look their users up by it.
WITHOUT: dict[str, LiteralString] = {
    "the vouchers' key (one voucher an id)": "ALTER TABLE books.voucher DROP CONSTRAINT voucher_key",
    "the vouchers' due index (the sweeper's)": "DROP INDEX books.voucher_due",
    "the transfers' key (no cause twice)": "ALTER TABLE books.transfer DROP CONSTRAINT transfer_key",
    NO_TRANSFERS: "",
}


@dataclass(slots=True)
class Ledger:
    """One ledger that is decided on, and the CPU of the backend that serves it."""

    name: str
    measurement: Measurement
    connection: psycopg.Connection

    def batch(self, records: int) -> float:
        """CPU nanoseconds of Postgres a claim of one batch."""
        with ExitStack() as without:
            if self.name == NO_TRANSFERS:
                without.enter_context(mock.patch.object(accounts, "append_transfers", nothing))
            before = _cpu_nanoseconds(self.connection.info.backend_pid)
            self.measurement.batch(AS_OPERATED, records)
            return (_cpu_nanoseconds(self.connection.info.backend_pid) - before) / records


def _cpu_nanoseconds(process: int) -> int:
    """As the scheduler counts it (proc(5), schedstat): other counters move in hundredths of a second."""
    return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0])


@contextmanager
def _ledger(running: Servers, name: str, change: LiteralString, quota: int) -> Iterator[Ledger]:
    with fresh_world(running, traffic.campaign_open(quota)) as world:
        if change:
            world.connection.execute(change)
        with postgres.connect(world.settings.postgres, application="indexes", batch=True) as connection:
            yield Ledger(name, Measurement(connection), connection)


def measured(rounds: int, records: int) -> dict[str, list[float]]:
    """CPU nanoseconds of Postgres a claim by ledger, a batch each."""
    with servers() as running, ExitStack() as all_of_them:
        ledgers = {
            name: all_of_them.enter_context(_ledger(running, name, change, records * rounds))
            for name, change in {WHOLE: "", **WITHOUT}.items()
        }
        return compare(lambda name: ledgers[name].batch(records), rounds, list(ledgers))


def tell(records: int, found: dict[str, list[float]]) -> None:
    """Print medians, and what each part adds in pairs."""
    whole = found[WHOLE]
    print(f"batches of {records:,} claims, {len(whole)} rounds: CPU of Postgres, microseconds a claim")
    print(f"  {WHOLE:42} {statistics.median(whole) / 1000:6.2f}")
    for name in WITHOUT:
        added = statistics.median([one - other for one, other in zip(whole, found[name], strict=True)])
        print(f"  {name:42} {added / 1000:+6.2f}  ({added / statistics.median(whole):.0%})")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure on a cluster of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.indexes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--records", type=int, default=5_000)
    given = parser.parse_args(arguments)
    tell(given.records, measured(given.rounds, given.records))


if __name__ == "__main__":
    main()
