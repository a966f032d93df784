"""What holds for any story when one decider works at a time; tests/property/properties.py says it in full."""

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.property import properties
from tests.property.by_hand import campaign_open, claim, step
from tests.property.deciding import ROOMS, Ledger
from tests.property.stories import Batch, Story, stories

pytestmark = pytest.mark.integration

# Fixed examples, so that a red run is red for everybody. Not shrunk: stories are short, and shrinking one plays it
# hundreds of times. Whoever wants the smallest adds Phase.shrink for a while.
STEADY = settings(
    deadline=None,
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=(Phase.explicit, Phase.generate),
)


@st.composite
def split_stories(draw: st.DrawFn) -> tuple[Story, Story]:
    """A story, and the same in smaller batches."""
    story = draw(stories())
    split: Story = []
    for batch in story:
        rest = batch
        while rest:
            size = draw(st.integers(1, len(rest)))
            split.append(rest[:size])
            rest = rest[size:]
    return story, split


@st.composite
def shuffled_stories(draw: st.DrawFn) -> list[Batch]:
    """The batches of a story in another order of rooms; each room keeps its own order."""
    story = draw(stories())
    waiting = {room: [batch for batch in story if batch[0].room == room] for room in ROOMS}
    return [waiting[room].pop(0) for room in draw(st.permutations([batch[0].room for batch in story]))]


@given(story=stories())
@settings(STEADY, max_examples=60)
def test_nothing_is_oversold_or_overspent_and_nothing_well_formed_is_a_dead_letter(
    ledger: Ledger, story: Story
) -> None:
    properties.nothing_is_oversold(ledger, story)


@given(both=split_stories())
@settings(STEADY)
def test_any_split_into_batches_gives_the_same_answers_and_books(ledger: Ledger, both: tuple[Story, Story]) -> None:
    properties.batches_do_not_matter(ledger, *both)


@given(story=stories(phases_max=6, batch_max=6), data=st.data())
@settings(STEADY)
def test_an_accepted_command_again_gets_the_same_outcome_and_changes_nothing(
    ledger: Ledger, story: Story, data: st.DataObject
) -> None:
    again = data.draw(st.permutations(range(sum(len(batch) for batch in story))))
    later_ms = data.draw(st.sampled_from((0, 1_000, 3_600_000, 365 * 86_400_000)))
    properties.duplicates_change_nothing(ledger, story, again, later_ms)


@given(batches=shuffled_stories())
@settings(STEADY)
def test_any_order_of_the_rooms_answers_each_command_once_and_leaves_clean_books(
    ledger: Ledger, batches: list[Batch]
) -> None:
    properties.order_of_rooms_does_not_matter(ledger, batches)


@given(story=stories())
@settings(STEADY)
def test_every_event_keeps_its_schema(ledger: Ledger, story: Story) -> None:
    properties.events_keep_their_schemas(ledger, story)


def test_a_loss_that_no_sum_could_hold_is_refused_at_once_and_stops_nothing(ledger: Ledger) -> None:
    """The vouchers of all partitions together must fit a bigint: each claim past that is a dead letter of its own."""
    dear = {"kind": "free_order", "face_value_minor": 10**15}
    opening = campaign_open(quota=0, budget_minor=0, voucher=dear, overspend="honour")
    claims = [step(0, "claims", claim(f"c-{offset}", f"u-{offset}"), offset=offset) for offset in range(1_010)]
    with capture_logs() as logs:
        # The bound is met in the midst of a batch, and is read from the books by the next.
        events = ledger.begin().play([[step(0, "campaigns", opening)], claims[:1_005], claims[1_005:]])
    assert len(events) == 1 + 1_000
    letters = ledger.processors["claims"].letters
    assert [letter.offset for letter in letters] == list(range(1_000, 1_010))
    text = "the decision failed: LossFull: spring-1 has honoured 1000000000000000000 minor units past its end through"
    assert {letter.error for letter in letters} == {f"{text} partition 0, where its account takes no voucher more"}
    assert properties.booked_in(ledger, "loss") == {"spring-1": (-1_000, -(10**18))}
    assert logs == [], "a batch was decided again, or a refusal was taken for a fault of the program"


def test_the_database_holds_that_loss_fits_a_sum_too(ledger: Ledger) -> None:
    ledger.begin().play([[step(0, "campaigns", campaign_open(overspend="honour"))]])
    with pytest.raises(psycopg.errors.CheckViolation, match="account_loss_fits_a_sum"):
        ledger.connection.execute("UPDATE books.account SET amount_minor = -1000000000000000001 WHERE role = 'loss'")
