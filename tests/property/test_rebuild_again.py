"""A rebuild after one that was killed: what that left is no row, and must not make the planner blind."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.property.by_hand import campaign_open, claim, step
from tests.property.deciding import Ledger
from tests.property.test_replay_fold import rebuilds
from voucher_ledger.ledger.audit import AuditReport, run_checks
from voucher_ledger.replay import rebuild

pytestmark = pytest.mark.integration

CLAIMS = 40
STORY = [
    [step(0, "campaigns", campaign_open(quota=CLAIMS, budget_minor=CLAIMS * 1_000))],
    [step(0, "claims", claim(f"c-{n}", f"u-{n}"), offset=n) for n in range(CLAIMS)],
]
KNOWN = """
SELECT relname, reltuples::bigint FROM pg_class WHERE oid IN ('books.voucher'::regclass, 'books.transfer'::regclass)"""


class Killed(Exception):
    """Ends a rebuild before its commit."""


@pytest.fixture
def target(ledger: Ledger) -> Iterator[Ledger]:
    """Another database of the same server."""
    with closing(ledger.beside("again")) as made:
        yield made


def test_the_audit_plans_by_what_was_written_where_a_vacuum_came_in_between(
    ledger: Ledger, target: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_positions = rebuild._write_positions
    known: list[dict[str, int]] = []

    def kill(_connection: psycopg.Connection) -> AuditReport:
        raise Killed

    def vacuum_first(*given: object) -> None:
        """As autovacuum does, called by the killed one's rows: of those under way it counts none."""
        target.connection.execute("VACUUM books.voucher, books.transfer")
        known.append(dict(target.connection.execute(KNOWN).fetchall()))
        write_positions(*given)  # type: ignore[arg-type]

    def look(connection: psycopg.Connection) -> AuditReport:
        known.append(dict(connection.execute(KNOWN).fetchall()))
        return run_checks(connection)

    monkeypatch.setattr(rebuild, "run_checks", kill)
    with pytest.raises(Killed):
        rebuilds(ledger, target, STORY)
    monkeypatch.setattr(rebuild, "_write_positions", vacuum_first)
    monkeypatch.setattr(rebuild, "run_checks", look)
    rebuilds(ledger, target, STORY)
    target.close()
    # The quota and a lease are transfers too.
    assert known == [{"voucher": 0, "transfer": 0}, {"voucher": CLAIMS, "transfer": CLAIMS + 2}]
