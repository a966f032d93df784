"""Keys are looked up by an index whatever the planner believes, and rows are written on the version that was read."""

import importlib
import pkgutil
import re
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any

import psycopg
import pytest

import voucher_ledger.ledger
import voucher_ledger.sweeper
from tests.integration.books import Books, open_campaign
from voucher_ledger.ledger import payments, reservations, vouchers
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.runtime.postgres import connect

pytestmark = pytest.mark.integration

# One row or more a command: never to be read as a whole. (Campaigns, accounts, lines and positions are few.)
LARGE = ("limit_count", "payment", "refund", "reservation", "transfer", "voucher", "waiting_place")
STATEMENT = re.compile(r"\s*(SELECT|UPDATE|INSERT|DELETE|WITH)\b")
SCAN = re.compile(r"(?:Seq|Index|Index Only|Tid|Bitmap Heap) Scan.* on (\w+)")
WAIT_SECONDS_MAX = 20.0


def modules() -> Iterator[ModuleType]:
    for package in (voucher_ledger.ledger, voucher_ledger.sweeper):
        for module in pkgutil.iter_modules(package.__path__):
            yield importlib.import_module(f"{package.__name__}.{module.name}")


def statements() -> dict[str, str]:
    """Every statement of the ledger and the sweeper that touches a large table, its parameters numbered."""
    found = {}
    for module in modules():
        if module.__name__.endswith((".audit", ".audit_command")):
            continue  # these do read whole tables, on sessions of their own
        for name, text in vars(module).items():
            if isinstance(text, str) and STATEMENT.match(text) and any(f"books.{table}" in text for table in LARGE):
                found[f"{module.__name__}.{name}"] = numbered(text)
    return found


def numbered(text: str) -> str:
    names: dict[str, int] = {}

    def number(parameter: re.Match[str]) -> str:
        name = parameter[1] or f"at {parameter.start()}"  # without a name each is one of its own
        return f"${names.setdefault(name, len(names) + 1)}"

    return re.sub(r"%(?:\((\w+)\))?s", number, text)


def scans_of_everything(plan: list[str]) -> list[str]:
    """The scans of large tables that nothing bounds: the line after a scan is its condition."""
    return [
        line.strip()
        for line, below in pairwise([*plan, ""])
        if (scan := SCAN.search(line)) and scan[1] in LARGE and not re.search(r"(Index|TID|Recheck) Cond:", below)
    ]


def test_no_statement_reads_a_whole_table_though_it_was_planned_while_that_was_empty(database: str) -> None:
    """A vacuumed empty table is known to be empty: what is cheapest then is kept by a prepared statement."""
    found = statements()
    assert len(found) >= 15
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")
    with connect(database, application="test", batch=True) as connection:
        connection.prepare_threshold = None
        faults = {}
        for name, text in found.items():
            plan = [line for (line,) in connection.execute(f"EXPLAIN (GENERIC_PLAN) {text}".encode())]
            if whole := scans_of_everything(plan):
                faults[name] = whole
        assert faults == {}
        # The plain join that this is about is one that would be found.
        join = (
            "SELECT v.state FROM unnest(string_to_array($1, ',')) AS k (voucher_id) "
            "JOIN books.voucher v USING (voucher_id)"
        )
        plan = [line for (line,) in connection.execute(f"EXPLAIN (GENERIC_PLAN) {join}".encode())]
        assert scans_of_everything(plan)


def test_vouchers_are_found_by_their_users_in_one_campaign_and_in_several(database: str) -> None:
    """One campaign's are looked up by another statement than those of several: neither finds another pair's."""
    books = Books(database)
    for campaign_id in ("grey", "autumn"):
        open_campaign(books, campaign_id)
        books.claim(0, "u-1", "u-2", campaign_id=campaign_id)
    found = {
        keys: sorted((one.campaign_id, one.user_id) for one in vouchers.load_by_user(books.connection, keys))
        for keys in (
            (),
            (("grey", "u-1"), ("grey", "u-3")),
            (("grey", "u-2"), ("grey", "u-1")),
            (("grey", "u-1"), ("autumn", "u-2")),
        )
    }
    assert found == {
        (): [],
        (("grey", "u-1"), ("grey", "u-3")): [("grey", "u-1")],
        (("grey", "u-2"), ("grey", "u-1")): [("grey", "u-1"), ("grey", "u-2")],
        (("grey", "u-1"), ("autumn", "u-2")): [("autumn", "u-2"), ("grey", "u-1")],
    }
    books.connection.close()


def written(books: Books, kind: str) -> tuple[Callable[[psycopg.Connection, list[Any]], None], Any]:
    """How a kind is written, and one that was loaded."""
    (voucher_id,) = books.claim(0, "u-1")
    books.reserve("u-1", voucher_id, 3_000)
    books.settle("u-1", 500)
    if kind == "voucher":
        return vouchers.update, vouchers.load_by_id(books.connection, [voucher_id], lock=False)[0]
    if kind == "reservation":
        return reservations.update, reservations.load(books.connection, ["order-u-1"], lock=False)["order-u-1"]
    return payments.update, payments.load(books.connection, ["payment-u-1"], lock=False)["payment-u-1"]


@pytest.mark.parametrize("kind", ["voucher", "reservation", "payment"])
def test_a_row_that_another_transaction_has_in_hand_is_not_written_over(database: str, kind: str) -> None:
    """The write waits for the other, and then finds another version than it has read."""
    books = Books(database)
    open_campaign(books, "grey")
    update, loaded = written(books, kind)
    raised: list[Exception] = []

    def write() -> None:
        try:
            update(books.connection, [loaded])
        except Exception as error:  # noqa: BLE001 (whatever it is, the test tells)
            raised.append(error)

    with psycopg.connect(database) as other, psycopg.connect(database, autocommit=True) as watch:
        other.execute(f"UPDATE books.{kind} SET version = version + 1".encode())
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        await_lock(watch, books.connection.info.backend_pid)
        other.commit()
        thread.join(WAIT_SECONDS_MAX)
        row = watch.execute(f"SELECT version FROM books.{kind}".encode()).fetchone()
    assert [type(error) for error in raised] == [Contended]
    assert row == (loaded.version + 1,)
    books.connection.close()


def await_lock(connection: psycopg.Connection, backend: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity, pg_sleep(0.02) WHERE pid = %s"
    while connection.execute(waits, (backend,)).fetchone() != (True,):
        assert time.monotonic() < deadline, "the write does not wait for the row"
