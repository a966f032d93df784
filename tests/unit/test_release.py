"""What is released when, and what a lease may use of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.given import campaign
from voucher_ledger.ledger.leases import usable
from voucher_ledger.ledger.release import next_release_ms, split_at_tranche, unreleased

PACED = campaign(tranches=((100, 5), (200, 7), (200, 1), (300, 2)))


@pytest.mark.parametrize(
    ("time_ms", "left", "following_ms"),
    [(99, 15, 100), (100, 10, 200), (199, 10, 200), (200, 2, 300), (299, 2, 300), (300, 0, None), (10**15, 0, None)],
)
def test_a_tranche_is_released_from_its_own_millisecond_on(time_ms: int, left: int, following_ms: int | None) -> None:
    assert unreleased(PACED, time_ms) == left
    assert next_release_ms(PACED, time_ms) == following_ms


def test_a_campaign_without_tranches_is_released_at_once() -> None:
    assert (unreleased(campaign(), 0), next_release_ms(campaign(), 0)) == (0, None)
    assert split_at_tranche(campaign(), [0, 10**15]) is None


@pytest.mark.parametrize(
    ("times_ms", "expected"),
    [
        ([], None),
        ([100], None),
        ([100, 199], None),
        ([300, 400], None),
        ([199, 200], 1),
        ([200, 199], 1),
        ([100, 100, 200, 200, 200, 300], 2),
        ([99, 100, 100, 100, 200, 200], 4),
        ([100, 200, 100, 200, 100, 200], 3),
    ],
)
def test_claims_on_both_sides_of_a_tranche_are_parted_there_as_near_to_the_middle_as_can_be(
    times_ms: list[int], expected: int | None
) -> None:
    assert split_at_tranche(PACED, times_ms) == expected


counts = st.integers(0, 20)


@given(leases=st.lists(counts, max_size=6), pool=counts, held_back=counts)
def test_leases_together_never_give_out_more_than_was_released(leases: list[int], pool: int, held_back: int) -> None:
    released = pool + sum(leases) - held_back
    granted = sum(usable(lease, pool, held_back) for lease in leases)
    assert granted <= max(0, released)


@given(lease=counts, pool=counts)
def test_a_lease_is_usable_whole_while_the_pool_holds_what_is_held_back(lease: int, pool: int) -> None:
    assert usable(lease, pool, pool) == lease
