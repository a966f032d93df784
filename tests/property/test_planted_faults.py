"""Negative controls: a fault planted on purpose breaks its property, by a story told by hand. What is not found when it
is planted would not be found when it happens. Each of these stories passes without its fault."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from tests.property import properties
from tests.property.by_hand import FACE_MINOR, START_MS, TTL_S, campaign_open, claim, expire, step
from tests.property.deciding import Ledger
from tests.property.stories import Story
from voucher_ledger.claims import decide, evolve
from voucher_ledger.claims.state import Claims
from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger import campaigns, leases
from voucher_ledger.ledger.model import Campaign

pytestmark = pytest.mark.integration

# Two claims by two users for the one voucher there is.
TWO_FOR_ONE: Story = [
    [step(0, "campaigns", campaign_open())],
    [step(0, "claims", claim("c-1")), step(0, "claims", claim("c-2", "u-2"), offset=1)],
]
# The one voucher falls due, comes back and is granted again, all in one batch, by another partition than before.
BACK_AND_AGAIN: Story = [
    [step(0, "campaigns", campaign_open())],
    [step(0, "claims", claim("c-1"))],
    [
        step(1, "claims", expire("u-1", "v0-0"), at_ms=START_MS + TTL_S * 1_000),
        step(1, "claims", claim("c-2", "u-2"), offset=1, at_ms=START_MS + TTL_S * 1_000),
    ],
]
# Vouchers are left, but the budget pays for one only.
BUDGET_FIRST: Story = [
    [step(0, "campaigns", campaign_open(quota=3, budget_minor=FACE_MINOR + 1))],
    [step(0, "claims", claim("c-1")), step(0, "claims", claim("c-2", "u-2"), offset=1)],
]
# The same where the second is honoured. Its voucher falls due, comes back and is granted again; the next is honoured.
HONOURED: Story = [
    [step(0, "campaigns", campaign_open(quota=3, budget_minor=FACE_MINOR + 1, overspend="honour"))],
    [step(0, "claims", claim("c-1")), step(0, "claims", claim("c-2", "u-2"), offset=1)],
    [
        step(1, "claims", expire("u-2", "v0-1"), at_ms=START_MS + TTL_S * 1_000),
        step(1, "claims", claim("c-3", "u-3"), offset=1, at_ms=START_MS + TTL_S * 1_000),
        step(1, "claims", claim("c-4", "u-4"), offset=2, at_ms=START_MS + TTL_S * 1_000),
    ],
]
BUDGET_FIRST_SPLIT: Story = [[single] for batch in BUDGET_FIRST for single in batch]


def keeps_its_lease(state: Claims, command: Command, event: Event) -> None:
    """A grant that does not use the lease up."""
    evolve.evolve(state, command, event)
    if event.type == "voucher.granted":
        lease = state.leases[command.data["campaign_id"]]
        lease.vouchers += 1
        lease.amount_minor += FACE_MINOR


def knows_no_user(
    self: ClaimsRoom, connection: psycopg.Connection, state: Claims, commands: Sequence[Command], *, lock: bool
) -> None:
    """A load that forgets what users were granted before."""
    WHOLE_LOAD(self, connection, state, commands, lock=lock)
    state.by_user.clear()


def numbers_its_answers(state: Claims, command: Command) -> Event:
    """A decision that adds a field nobody was told of."""
    event = decide.decide(state, command)
    event.data["ordinal"] = 1
    return event


def overlooks_returns(connection: psycopg.Connection, need: leases.Need, shards: int) -> leases.Drawn:
    """A draw that takes an empty pool for the end, though the batch itself returns to it."""
    return WHOLE_DRAW(connection, leases.Need(**{**_fields(need), "returns": False}), shards)


def tells_no_reason(connection: psycopg.Connection, need: leases.Need, shards: int) -> leases.Drawn:
    """A draw after which all that is known is that there is no more."""
    drawn = WHOLE_DRAW(connection, need, shards)
    return drawn if drawn.outcome == "enough" else leases.Drawn("everything")


def draws_nothing(connection: psycopg.Connection, need: leases.Need, shards: int) -> leases.Drawn:  # noqa: ARG001 - the signature of what it replaces
    """A draw that leaves all in the pool and says that nothing is there."""
    leases._ensure_accounts(connection, need)
    return leases.Drawn("sold_out")


def honours_all(connection: psycopg.Connection, campaign_ids: Iterable[str]) -> dict[str, Campaign]:
    """Rules that forget which campaigns forbid overspending."""
    found = WHOLE_RULES(connection, campaign_ids)
    return {name: replace(campaign, overspend="honour") for name, campaign in found.items()}


WHOLE_RULES = campaigns.load
WHOLE_LOAD, WHOLE_DRAW = ClaimsRoom.load, leases.draw


def _fields(need: leases.Need) -> dict[str, Any]:
    return {name: getattr(need, name) for name in leases.Need.__slots__}


@contextmanager
def overdrafts_allowed(ledger: Ledger) -> Iterator[None]:
    """The database's own guard taken away, as if a migration had lost it."""
    (rule,) = ledger.connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'account_not_overdrawn'"
    ).fetchone() or (None,)
    ledger.connection.execute("ALTER TABLE books.account DROP CONSTRAINT account_not_overdrawn")
    try:
        yield
    finally:
        ledger.begin()
        ledger.connection.execute(f"ALTER TABLE books.account ADD CONSTRAINT account_not_overdrawn {rule}".encode())


@pytest.mark.parametrize("story", [TWO_FOR_ONE, BACK_AND_AGAIN, BUDGET_FIRST, HONOURED])
def test_without_a_fault_the_stories_pass(ledger: Ledger, story: Story) -> None:
    properties.nothing_is_oversold(ledger, story)
    properties.batches_do_not_matter(ledger, story, [[single] for batch in story for single in batch])
    properties.duplicates_change_nothing(ledger, story, range(sum(len(batch) for batch in story)), 0)
    properties.events_keep_their_schemas(ledger, story)


def test_a_lease_that_is_not_used_up_is_stopped_by_the_database(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClaimsRoom, "evolve", staticmethod(keeps_its_lease))
    with pytest.raises(AssertionError, match="account_not_overdrawn"):
        properties.nothing_is_oversold(ledger, TWO_FOR_ONE)


def test_a_lease_that_is_not_used_up_oversells_without_the_database(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClaimsRoom, "evolve", staticmethod(keeps_its_lease))
    with overdrafts_allowed(ledger):
        with pytest.raises(AssertionError, match="2 out of spring-1, 1 at most"):
            properties.nothing_is_oversold(ledger, TWO_FOR_ONE)
        assert any(fault.startswith("audit: no_account_is_overdrawn") for fault in ledger.faults())


def test_a_loss_while_the_pool_could_pay_is_found(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "draw", draws_nothing)
    with pytest.raises(AssertionError, match="spring-1"):
        properties.nothing_is_oversold(ledger, HONOURED)
    assert properties.booked_in(ledger, "loss")["spring-1"] == (-3, -3 * FACE_MINOR)
    assert ledger.faults() == []  # the books are whole: only who counts the claims can tell


def test_an_overspend_that_the_campaign_forbids_is_found(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaigns, "load", honours_all)
    with pytest.raises(AssertionError, match="2 out of spring-1, 1 at most"):
        properties.nothing_is_oversold(ledger, TWO_FOR_ONE)
    (fault,) = ledger.faults()
    assert fault.startswith("audit: loss_is_of_honoured_claims: ({'campaign_id': 'spring-1', 'overspend': 'forbid'")


def test_a_claim_that_is_not_recognised_is_no_duplicate(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClaimsRoom, "load", knows_no_user)
    with pytest.raises(AssertionError):
        properties.duplicates_change_nothing(ledger, BUDGET_FIRST[:1] + BUDGET_FIRST_SPLIT[1:2], range(2), 0)


def test_a_field_that_no_schema_knows_is_found(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClaimsRoom, "decide", staticmethod(numbers_its_answers))
    with pytest.raises(AssertionError, match="ordinal"):
        properties.events_keep_their_schemas(ledger, TWO_FOR_ONE)


@pytest.mark.parametrize(
    ("draw", "story"), [(overlooks_returns, BACK_AND_AGAIN), (tells_no_reason, BUDGET_FIRST)], ids=["returns", "reason"]
)
def test_a_draw_that_sees_too_little_makes_batches_matter(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, draw: Any, story: Story
) -> None:
    monkeypatch.setattr(leases, "draw", draw)
    with pytest.raises(AssertionError):
        properties.batches_do_not_matter(ledger, story, [[single] for batch in story for single in batch])
