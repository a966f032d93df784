"""Users across verticals, counted on real books with the reader's role, within the bounds of a count."""

from collections.abc import Iterator
from itertools import combinations

import psycopg
import pytest

from tests.property.deciding import Ledger
from voucher_ledger.monitor.crossing import PAIRS_MAX, Crossing, CrossingReader, TooCostly
from voucher_ledger.runtime.settings import Settings

pytestmark = pytest.mark.integration

_ORDER = """
INSERT INTO books.reservation (order_id, voucher_id, campaign_id, user_id, merchant_id, category, amount_minor,
    discount_minor, state, reserved_at_ms, expires_at_ms)
VALUES (%s, 'v', %s, %s, 'm', %s, 100, 10, %s::books.reservation_state, 0, 1)"""
_MANY = """
INSERT INTO books.reservation (order_id, voucher_id, campaign_id, user_id, merchant_id, category, amount_minor,
    discount_minor, state, reserved_at_ms, expires_at_ms)
SELECT 'more-' || n, 'v', 'grey', 'more-' || n / 2, 'm', 'film', 100, 10, 'settled', 0, 1
FROM generate_series(1, 5000) n"""
VERTICALS = ("film", "flight", "hotel", "tea", "train", "shopping")


@pytest.fixture
def books(ledger: Ledger) -> psycopg.Connection:
    """Six users of a campaign and one of another: film alone, film twice, two verticals, three and all of them."""
    ledger.begin()
    ordered = {
        "u-1": ["film"], "u-2": ["film", "film"], "u-3": ["hotel", "film"], "u-4": ["film", "hotel"],
        "u-5": ["flight", "hotel", "film"], "u-6": [*VERTICALS],
    }  # fmt: skip
    states = ("held", "cancelled", "expired", "settled", "refunded")
    orders = [("grey", user, category) for user, categories in ordered.items() for category in categories]
    for number, order in enumerate([*orders, ("other", "u-1", "hotel")]):
        ledger.connection.execute(_ORDER, (f"o-{number}", *order, states[number % len(states)]))
    return ledger.connection


@pytest.fixture
def settings(ledger: Ledger) -> Settings:
    return Settings(kafka="127.0.0.1:1", postgres=ledger.dsn)


@pytest.fixture
def reader(settings: Settings) -> Iterator[CrossingReader]:
    made = CrossingReader(settings)
    yield made
    made.close()


@pytest.mark.usefixtures("books")
def test_users_and_pairs_are_those_of_a_count_by_hand(reader: CrossingReader) -> None:
    found = reader.count(["grey", "without orders"])
    assert [*found] == ["grey"]
    assert found["grey"].users == {"1": 2, "2": 2, "3+": 2}
    by_hand = dict.fromkeys(combinations(sorted(VERTICALS), 2), 1)
    by_hand.update({("film", "hotel"): 4, ("film", "flight"): 2, ("flight", "hotel"): 2})
    most = sorted(by_hand.items(), key=lambda pair: (-pair[1], pair[0]))[:PAIRS_MAX]
    assert found["grey"].pairs == [(*names, users) for names, users in most]
    assert reader.count(["other"]) == {"other": Crossing({"1": 1, "2": 0, "3+": 0}, [])}


@pytest.mark.usefixtures("books")
def test_more_orders_than_the_bound_are_not_counted(settings: Settings, books: psycopg.Connection) -> None:
    books.execute(_MANY)
    bounded = CrossingReader(settings, orders_max=1_000)
    with pytest.raises(TooCostly, match="at most 1,000"):
        bounded.count(["grey"])
    bounded.close()
    unbounded = CrossingReader(settings, orders_max=None)
    assert unbounded.count(["grey"])["grey"].users["1"] == 2 + 2_501
    unbounded.close()


def test_a_count_that_takes_too_long_is_given_up(settings: Settings, books: psycopg.Connection) -> None:
    slow = CrossingReader(settings, seconds_max=1)
    # It waits for the table, as it would for its own rows.
    with books.transaction():
        books.execute("LOCK TABLE books.reservation IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TooCostly, match="longer than 1 s"):
            slow.count(["grey"])
    assert slow.count(["grey"])["grey"].users["1"] == 2
    slow.close()


@pytest.mark.usefixtures("books")
def test_the_reader_writes_nothing(reader: CrossingReader) -> None:
    reader.count(["grey"])
    with pytest.raises((psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)):
        reader._connection.get().execute("DELETE FROM ledger.reservation")
