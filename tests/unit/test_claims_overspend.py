"""`overspend: honour`, given / when / then: what would be refused as gone is granted against `loss`."""

from dataclasses import replace

import pytest

from tests.unit.given import HOUR_MS, NOW_MS, PARTITION, campaign, causes, transfers
from tests.unit.test_claims_decide import EMPTY, PACED, REFUSALS, claim, expire, given, when
from voucher_ledger.claims.decide import decide
from voucher_ledger.claims.state import LOSS_MINOR_MAX, Lease, LeaseShort, LossFull
from voucher_ledger.core.records import Event

HONOUR = campaign(overspend="honour")
GONE = ("sold_out", "budget_exhausted")


@pytest.mark.parametrize("name", [name for name in REFUSALS if REFUSALS[name][0] not in GONE])
def test_overspend_honour_changes_no_other_refusal(name: str) -> None:
    reason, given_state, asked = REFUSALS[name]
    state = given_state()
    for rules in state.campaigns.values():
        rules.overspend = "honour"
    assert when(state, asked).data["reason"] == reason


@pytest.mark.parametrize(
    "lease",
    [
        Lease(PARTITION, 0, 99_999, everything=True),
        Lease(PARTITION, 9, 2499, everything=True),
        Lease(PARTITION, 0, 0, everything=True),
        Lease(PARTITION, 0, 0, everything=True, refusal="sold_out"),
        Lease(PARTITION, 1, 0, everything=True, refusal="budget_exhausted"),
    ],
)
def test_what_would_be_refused_is_honoured_as_a_whole_voucher_of_loss_and_rests_stay(lease: Lease) -> None:
    state = given(rules=HONOUR, lease=replace(lease))
    event = when(state, claim())
    assert (event.type, event.data["voucher_id"], event.data["face_value_minor"]) == ("voucher.granted", "v5-40", 2500)
    assert transfers(state.journal) == [("loss/5", "granted/5", 1, 2500)]
    assert causes(state.journal) == [("v5-40", "", "claim.commands", "5", "40", "0")]
    assert state.leases["spring"] == lease
    assert [(held.ordinal, held.shard, held.state) for held in state.granted] == [(1, PARTITION, "granted")]
    assert when(state, claim(at_ms=NOW_MS + 1)) == Event("voucher.granted", {**event.data, "duplicate": True})
    assert len(state.journal.rows) == 1


def test_nothing_is_honoured_before_it_is_proven_that_there_is_no_more() -> None:
    with pytest.raises(LeaseShort):
        decide(given(rules=HONOUR, lease=Lease(PARTITION, 0, 0)), claim())


def test_the_lease_is_used_up_before_loss_is_booked() -> None:
    state = given(rules=HONOUR, lease=Lease(PARTITION, 1, 2600, everything=True))
    answers = [when(state, claim(offset, user_id=f"u-{offset}")) for offset in (41, 42)]
    assert {event.type for event in answers} == {"voucher.granted"}
    assert transfers(state.journal) == [("lease/5", "granted/5", 1, 2500), ("loss/5", "granted/5", 1, 2500)]
    assert state.leases["spring"] == Lease(PARTITION, 0, 100, everything=True)


def test_past_what_the_account_of_loss_takes_a_claim_is_a_dead_letter_until_something_comes_back() -> None:
    state = given(rules=HONOUR, lease=replace(EMPTY, lost_minor=LOSS_MINOR_MAX - 2500 - 2499))
    assert when(state, claim(41)).type == "voucher.granted"
    with pytest.raises(LossFull, match="spring has honoured 999999999999997501 minor units past its end"):
        decide(state, claim(42, user_id="u-2"))
    state.leases["spring"].returned_vouchers, state.leases["spring"].returned_minor = 1, 2500
    assert when(state, claim(43, user_id="u-2")).type == "voucher.granted"
    assert transfers(state.journal)[-1] == ("lease/5", "granted/5", 1, 2500)


def test_a_refusal_for_another_reason_comes_before_the_bound_of_loss() -> None:
    full = replace(EMPTY, lost_minor=LOSS_MINOR_MAX)
    assert when(given(rules=campaign(), lease=replace(full)), claim()).data["reason"] == "sold_out"
    paced = given(rules=replace(PACED, overspend="honour"), lease=replace(full))
    assert when(paced, claim()).data["reason"] == "not_released"


def test_an_honoured_voucher_that_expires_goes_to_the_pool_and_is_granted_again_before_more_loss() -> None:
    state = given(rules=HONOUR, lease=replace(EMPTY))
    later_ms = NOW_MS + 24 * HOUR_MS
    state.campaigns["spring"] = replace(HONOUR, ends_at_ms=later_ms + 1)
    voucher_id = when(state, claim()).data["voucher_id"]
    assert when(state, expire(41, later_ms, voucher_id=voucher_id)).type == "voucher.expired"
    for offset in (42, 43):
        assert when(state, claim(offset, later_ms, user_id=f"u-{offset}")).type == "voucher.granted"
    assert transfers(state.journal) == [
        ("loss/5", "granted/5", 1, 2500),
        ("granted/5", "pool/0", 1, 2500),
        ("pool/0", "lease/5", 1, 2500),
        ("lease/5", "granted/5", 1, 2500),
        ("loss/5", "granted/5", 1, 2500),
    ]


def test_an_honoured_campaign_keeps_its_tranches_and_honours_after_the_last() -> None:
    state = given(rules=replace(PACED, overspend="honour"), lease=replace(EMPTY))
    assert when(state, claim(41)).data["reason"] == "not_released"
    state.leases["spring"] = Lease(PARTITION, 9, 0, everything=True)
    assert when(state, claim(41)).data["reason"] == "budget_exhausted"
    assert when(state, claim(42, NOW_MS + 1_000)).type == "voucher.granted"
    assert transfers(state.journal) == [("loss/5", "granted/5", 1, 2500)]
