"""Claims and expiries of vouchers, given / when / then: every reason, every duplicate, every movement."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.given import HOUR_MS, NOW_MS, PARTITION, campaign, causes, command, outcome, transfers, voucher
from tests.unit.reasons import reasons_of
from voucher_ledger.claims.decide import decide
from voucher_ledger.claims.evolve import evolve
from voucher_ledger.claims.state import Claims, Lease, LeaseShort
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Campaign, Voucher

CLAIM = {"campaign_id": "spring", "user_id": "u-1", "city_tier": 3, "channel": "app"}
EXPIRE = {"campaign_id": "spring", "user_id": "u-1", "voucher_id": "v-1"}
EMPTY = Lease(PARTITION, 0, 0, everything=True)
PACED = campaign(tranches=((NOW_MS, 5), (NOW_MS + 1_000, 5)))


def given(*vouchers: Voucher, rules: Campaign | None = None, lease: Lease | None = None) -> Claims:
    found = campaign() if rules is None else replace(rules)
    state = Claims(Journal("claim.commands"), {found.campaign_id: found})
    state.leases["spring"] = Lease(PARTITION, 10, 25_000) if lease is None else replace(lease)
    for held in vouchers:
        state.by_id[held.voucher_id] = held
        state.by_user.setdefault((held.campaign_id, held.user_id), []).append(held)
    return state


def when(state: Claims, asked: Command) -> Event:
    return outcome(decide, evolve, state, asked)


def claim(offset: int = 40, at_ms: int = NOW_MS, **changes: Any) -> Command:
    return command("voucher.claim", CLAIM | changes, at_ms=at_ms, offset=offset)


def expire(offset: int = 40, at_ms: int = NOW_MS + 23 * HOUR_MS, **changes: Any) -> Command:
    return command("voucher.expire", EXPIRE | changes, at_ms=at_ms, offset=offset)


REFUSALS: dict[str, tuple[str, Callable[[], Claims], Command]] = {
    "unknown campaign": ("unknown_campaign", given, claim(campaign_id="autumn")),
    "before the start": ("not_started", given, claim(at_ms=NOW_MS - HOUR_MS - 1)),
    "at the end": ("ended", given, claim(at_ms=NOW_MS + HOUR_MS)),
    "closed": ("ended", lambda: given(rules=campaign(state="closed")), claim()),
    "closed before the start": (
        "ended",
        lambda: given(rules=campaign(state="closed")),
        claim(at_ms=NOW_MS - HOUR_MS - 1),
    ),
    "paused": ("paused", lambda: given(rules=campaign(state="paused")), claim()),
    "second voucher": ("user_limit", lambda: given(voucher()), claim()),
    "second voucher, first expired": ("user_limit", lambda: given(voucher(state="expired")), claim()),
    "user limit before sold out": ("user_limit", lambda: given(voucher(), lease=EMPTY), claim()),
    "quota gone": ("sold_out", lambda: given(lease=Lease(PARTITION, 0, 99_999, everything=True)), claim()),
    "before the next tranche": ("not_released", lambda: given(rules=PACED, lease=EMPTY), claim()),
    "after the last tranche": ("sold_out", lambda: given(rules=PACED, lease=EMPTY), claim(at_ms=NOW_MS + 1_000)),
    "budget gone before a tranche": (
        "budget_exhausted",
        lambda: given(rules=PACED, lease=Lease(PARTITION, 9, 2499, everything=True)),
        claim(),
    ),
    "budget proven gone before a tranche": (
        "budget_exhausted",
        lambda: given(rules=PACED, lease=Lease(PARTITION, 0, 0, everything=True, refusal="budget_exhausted")),
        claim(),
    ),
    "budget gone": ("budget_exhausted", lambda: given(lease=Lease(PARTITION, 9, 2499, everything=True)), claim()),
    "both gone": ("sold_out", lambda: given(lease=EMPTY), claim()),
    "other channel": ("conflict", lambda: given(voucher(command_id="c-40", city_tier=3, channel="web")), claim()),
    "other tier": ("conflict", lambda: given(voucher(command_id="c-40", city_tier=1, channel="app")), claim()),
    "expire nothing": ("unknown_voucher", given, expire()),
    "expire in another campaign": ("unknown_voucher", lambda: given(voucher()), expire(campaign_id="autumn")),
    "expire another's": ("not_your_voucher", lambda: given(voucher()), expire(user_id="u-2")),
    "expire a spent one": ("voucher_used", lambda: given(voucher(state="spent")), expire()),
    "expire a held one": ("voucher_held", lambda: given(voucher(state="held")), expire()),
    "expire too early": ("conflict", lambda: given(voucher()), expire(at_ms=NOW_MS + 23 * HOUR_MS - 1)),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_gives_its_reason_and_changes_nothing(name: str) -> None:
    reason, state, asked = REFUSALS[name]
    event = when(state(), asked)
    assert (event.type, event.data["reason"]) == ("voucher.rejected", reason)
    assert asked.data.items() <= event.data.items()


def test_a_claim_before_a_tranche_is_told_when_to_come_again() -> None:
    event = when(given(rules=PACED, lease=EMPTY), claim(at_ms=NOW_MS + 999))
    assert event.data["next_release_at"] == rfc3339(NOW_MS + 1_000)


def test_cards_left_from_a_tranche_stay_claimable() -> None:
    assert when(given(rules=PACED), claim(at_ms=NOW_MS + 999)).type == "voucher.granted"


def test_every_reason_of_the_contract_is_tried() -> None:
    tried = {reason for reason, _, _ in REFUSALS.values()}
    assert tried == reasons_of("voucher.rejected")


def test_a_claim_is_granted_from_the_lease_of_its_partition() -> None:
    state = given()
    event = when(state, claim())
    expected = {
        "command_id": "c-40",
        "voucher_id": "v5-40",
        "face_value_minor": 2500,
        "expires_at": rfc3339(NOW_MS + 24 * HOUR_MS),
    }
    assert event == Event("voucher.granted", CLAIM | expected)
    assert transfers(state.journal) == [("lease/5", "granted/5", 1, 2500)]
    assert causes(state.journal) == [("v5-40", "", "claim.commands", "5", "40", "0")]
    assert state.leases["spring"] == Lease(PARTITION, 9, 22_500)
    assert [(held.ordinal, held.shard, held.state) for held in state.granted] == [(1, PARTITION, "granted")]


@pytest.mark.parametrize("at_ms", [NOW_MS - HOUR_MS, NOW_MS + HOUR_MS - 1])
def test_the_first_and_the_last_millisecond_are_open(at_ms: int) -> None:
    assert when(given(), claim(at_ms=at_ms)).type == "voucher.granted"


def test_a_claim_sent_again_gets_the_same_voucher() -> None:
    state = given()
    first = when(state, claim())
    again = when(state, claim(at_ms=NOW_MS + 1))
    assert again == Event("voucher.granted", {**first.data, "duplicate": True})
    assert len(state.granted) == 1


@pytest.mark.parametrize("rules", [campaign(state="closed"), campaign(state="paused"), campaign(ends_at_ms=NOW_MS)])
def test_a_claim_sent_again_is_answered_whatever_became_of_the_campaign(rules: Campaign) -> None:
    earlier = voucher(command_id="c-40", city_tier=3, channel="app", state="spent", face_value_minor=1)
    event = when(given(earlier, rules=rules, lease=EMPTY), claim())
    assert (event.type, event.data["voucher_id"], event.data["duplicate"]) == ("voucher.granted", "v-1", True)
    assert event.data["face_value_minor"] == 2500


def test_the_limit_counts_every_voucher_of_the_user_in_the_campaign() -> None:
    state = given(voucher(), rules=campaign(per_user_limit=3))
    answers = [when(state, claim(offset)) for offset in (41, 42, 43)]
    assert [event.data.get("reason") for event in answers] == [None, None, "user_limit"]
    assert [held.ordinal for held in state.granted] == [2, 3]
    assert when(state, claim(44, user_id="u-2")).type == "voucher.granted"


def test_a_used_up_lease_asks_for_another_draw_before_anyone_is_refused() -> None:
    state = given(lease=Lease(PARTITION, 1, 2500))
    assert when(state, claim(41)).type == "voucher.granted"
    with pytest.raises(LeaseShort) as raised:
        decide(state, claim(42, user_id="u-2"))
    assert isinstance(raised.value, Contended)


def test_the_last_voucher_is_granted_and_the_next_claim_is_sold_out() -> None:
    state = given(lease=Lease(PARTITION, 1, 2500, everything=True))
    answers = [when(state, claim(offset, user_id=f"u-{offset}")) for offset in (41, 42)]
    assert [event.data.get("reason") for event in answers] == [None, "sold_out"]


def test_a_voucher_expires_to_the_pool_with_what_it_is_worth() -> None:
    state = given(voucher(face_value_minor=700))
    event = when(state, expire())
    assert event == Event("voucher.expired", {**EXPIRE, "command_id": "c-40"})
    assert transfers(state.journal) == [("granted/2", "pool/0", 1, 700)]
    assert causes(state.journal) == [("v-1", "", "claim.commands", "5", "40", "0")]
    assert [held.state for held in state.changed.values()] == ["expired"]


def test_an_expiry_sent_again_changes_nothing() -> None:
    state = given(voucher())
    first = when(state, expire())
    assert when(state, expire()) == Event("voucher.expired", {**first.data, "duplicate": True})
    assert len(state.journal.rows) == 1


def test_a_voucher_granted_and_expired_in_one_batch_is_written_once_with_its_last_state() -> None:
    state = given()
    granted = when(state, claim())
    voucher_id = granted.data["voucher_id"]
    assert when(state, expire(41, NOW_MS + 24 * HOUR_MS, voucher_id=voucher_id)).type == "voucher.expired"
    assert [held.state for held in state.granted] == ["expired"]
    assert state.changed == {}
    assert transfers(state.journal) == [("lease/5", "granted/5", 1, 2500), ("granted/5", "pool/0", 1, 2500)]
