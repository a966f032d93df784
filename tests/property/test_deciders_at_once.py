"""Deciders of one ledger in threads, as processes would be: the same users and vouchers through all of them at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.property.by_hand import FACE_MINOR, START_MS, campaign_open, claim, step
from tests.property.deciding import PARTITIONS, Ledger, Processor, item_of
from tests.property.properties import booked_in
from tests.property.stacks import stacks
from tests.property.stories import Batch, Story, Teller, stories
from voucher_ledger.claims.state import LeaseShort
from voucher_ledger.core.records import Command

pytestmark = pytest.mark.integration

THREADS_SECONDS_MAX = 60
ROUNDS = 20
# Claims by four processes, as each has a partition of its own; orders and payments by two.
TEAMS: tuple[tuple[str, tuple[int, ...]], ...] = (
    *(("claims", (partition,)) for partition in range(PARTITIONS)),
    *(("orders", half) for half in ((0, 1), (2, 3))),
    *(("payments", half) for half in ((0, 1), (2, 3))),
)
# A race plays out differently each time: there is nothing to shrink, and what is found once need not be found again.
RACING = settings(
    deadline=None,
    max_examples=30,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=(Phase.explicit, Phase.generate),
)


@pytest.fixture(scope="module")
def teams(ledger: Ledger) -> Iterator[list[Processor]]:
    """A processor on a connection of its own for each of TEAMS."""
    with ExitStack() as stack:
        made = [Processor(ledger.dsn, room) for room, _ in TEAMS]
        for processor in made:
            stack.enter_context(closing(processor.connection))
        yield made


@st.composite
def races(draw: st.DrawFn) -> tuple[Story, list[list[Batch]]]:
    """What comes first (one decider at a time), and then the batches of each team, all at once."""
    rooms = (*["claims"] * 2, "orders", "payments")
    story = draw(stories(rooms=rooms, phases_max=16, batch_max=12))
    ahead = draw(st.integers(1, len(story)))
    return story[:ahead], _by_team(story[ahead:])


@st.composite
def rushes(draw: st.DrawFn) -> tuple[Story, list[list[Batch]]]:
    """One campaign, and claims alone, through all partitions at once: more than there are vouchers."""
    teller = Teller(draw, now_ms=START_MS + 1)
    opening = [teller.say("campaigns", "campaign.open")]
    return [opening], _by_team([[teller.say("claims", "voucher.claim") for _ in range(draw(st.integers(4, 24)))]])


@st.composite
def stack_races(draw: st.DrawFn) -> tuple[Story, list[list[Batch]]]:
    """Two users' orders of up to four vouchers each, through both processors of a room at once."""
    told = draw(stacks(commands_max=30))
    size = draw(st.integers(1, 4))
    batches = [told.steps[place : place + size] for place in range(0, len(told.steps), size)]
    return told.ahead, _by_team(batches)


def _by_team(story: Story) -> list[list[Batch]]:
    shares = [
        [[step for step in batch if step.room == room and step.partition in partitions] for batch in story]
        for room, partitions in TEAMS
    ]
    return [[batch for batch in share if batch] for share in shares]


def race(ledger: Ledger, teams: list[Processor], ahead: Story, shares: list[list[Batch]]) -> list[bytes]:
    """Decide `ahead`, and then all shares at once; the events of all, those of each team in its own order."""
    ledger.begin()
    start = threading.Barrier(len(TEAMS))

    def decide(team: int) -> list[bytes]:
        teams[team].take_over(TEAMS[team][1])
        start.wait(THREADS_SECONDS_MAX)
        return [event for batch in shares[team] for event in teams[team].decide(batch)]

    with capture_logs(), ThreadPoolExecutor(len(TEAMS)) as pool:
        events = ledger.play(ahead)
        futures = [pool.submit(decide, team) for team in range(len(TEAMS))]
        for future in futures:
            events += future.result(THREADS_SECONDS_MAX)
    return events


def refusals_are_justified(ledger: Ledger, events: list[bytes]) -> None:
    """Who was told `sold_out` found nothing: whatever is left at the end came back to the pool."""
    told = {
        event["data"]["campaign_id"] for event in map(orjson.loads, events) if event["data"].get("reason") == "sold_out"
    }
    rows = ledger.connection.execute(
        """SELECT a.campaign_id, sum(a.vouchers), coalesce((SELECT sum(t.vouchers) FROM books.transfer t
             WHERE t.campaign_id = a.campaign_id AND t.credit_role = 'pool' AND t.debit_role <> 'funding'), 0)
           FROM books.account a WHERE a.role IN ('pool', 'lease') GROUP BY a.campaign_id"""
    ).fetchall()
    assert [row for row in rows if row[0] in told and row[1] > row[2]] == []


def loss_is_justified(ledger: Ledger) -> None:
    """What was booked as loss found too little for one voucher: what is more at the end came back to the pool."""
    rows = ledger.connection.execute(
        """WITH spare AS (
             SELECT campaign_id, sum(vouchers) AS vouchers, sum(amount_minor) AS amount_minor FROM (
               SELECT campaign_id, vouchers, amount_minor FROM books.account WHERE role IN ('pool', 'lease')
               UNION ALL
               SELECT campaign_id, -vouchers, -amount_minor FROM books.transfer
               WHERE credit_role = 'pool' AND debit_role <> 'funding') AS moves GROUP BY campaign_id)
           SELECT s.* FROM spare s JOIN books.campaign c USING (campaign_id)
           WHERE s.vouchers >= 1 AND s.amount_minor >= c.face_value_minor
             AND EXISTS (SELECT FROM books.transfer t WHERE t.campaign_id = s.campaign_id AND t.debit_role = 'loss')"""
    ).fetchall()
    assert rows == []


def none_is_refused_where_all_are_honoured(ledger: Ledger, events: list[bytes]) -> None:
    honouring = ledger.connection.execute(
        "SELECT campaign_id FROM books.campaign WHERE overspend = 'honour'"
    ).fetchall()
    refused = {
        event["data"]["campaign_id"]
        for event in map(orjson.loads, events)
        if event["data"].get("reason") in ("sold_out", "budget_exhausted")
    }
    assert refused & {campaign_id for (campaign_id,) in honouring} == set()


def all_is_answered(ledger: Ledger, teams: list[Processor], ahead: Story, shares: list[list[Batch]]) -> None:
    events = race(ledger, teams, ahead, shares)
    assert [letter.error for team in teams for letter in team.letters] == []
    commands = sum(len(batch) for batches in (ahead, *shares) for batch in batches)
    assert len({orjson.loads(event)["id"] for event in events}) == commands
    assert ledger.faults() == []
    refusals_are_justified(ledger, events)
    none_is_refused_where_all_are_honoured(ledger, events)
    loss_is_justified(ledger)


@given(told=races())
@RACING
def test_rooms_at_once_answer_each_command_once_and_leave_clean_books(
    ledger: Ledger, teams: list[Processor], told: tuple[Story, list[list[Batch]]]
) -> None:
    all_is_answered(ledger, teams, *told)


@given(told=stack_races())
@settings(RACING, max_examples=20)
def test_orders_of_several_vouchers_at_once_hold_all_of_them_or_none(
    ledger: Ledger, teams: list[Processor], told: tuple[Story, list[list[Batch]]]
) -> None:
    all_is_answered(ledger, teams, *told)


@given(told=rushes())
@RACING
def test_claims_at_once_neither_oversell_nor_refuse_what_is_left(
    ledger: Ledger, teams: list[Processor], told: tuple[Story, list[list[Batch]]]
) -> None:
    all_is_answered(ledger, teams, *told)


def test_one_users_claims_through_all_partitions_at_once_are_all_decided(
    ledger: Ledger, teams: list[Processor]
) -> None:
    for _ in range(ROUNDS):
        opening = campaign_open(quota=PARTITIONS, budget_minor=PARTITIONS * FACE_MINOR, per_user_limit=3)
        told = [[step(0, "campaigns", opening)]]
        claims = [[[step(partition, "claims", claim(f"c-{partition}"))]] for partition in range(PARTITIONS)]
        events = race(ledger, teams, told, claims + [[]] * (len(TEAMS) - PARTITIONS))
        assert [letter.error for team in teams for letter in team.letters] == []
        answers = sorted(orjson.loads(event)["data"].get("reason", "granted") for event in events[1:])
        assert answers == ["granted", "granted", "granted", "user_limit"]


def test_who_was_left_nothing_of_its_draw_does_not_call_it_sold_out(ledger: Ledger, teams: list[Processor]) -> None:
    """Another took all that a draw had brought together, and used half of it: the rest is still there to be claimed."""
    ledger.begin().decide([step(0, "campaigns", campaign_open(quota=2, budget_minor=2 * FACE_MINOR))])
    first, second = teams[:2]
    second.take_over([1])
    steps = [step(0, "claims", claim(f"c-{offset}"), offset=offset) for offset in range(3)]
    items = [item_of(told) for told in steps]
    commands = [item for item in items if isinstance(item, Command)]
    state = first.room.prepare(first.connection, commands, lock=False)
    second.decide([step(1, "claims", claim(f"c-{offset}", "u-2"), offset=offset) for offset in range(2)])
    first.room.load(first.connection, state, commands, lock=False)
    with pytest.raises(LeaseShort):
        first.room.decide(state, commands[0])
    reasons = [orjson.loads(event)["data"].get("reason", "granted") for event in ledger.decide(steps)]
    assert reasons == ["granted", "user_limit", "user_limit"]


def test_a_loss_does_not_wait_for_anothers_that_is_not_yet_committed(ledger: Ledger, teams: list[Processor]) -> None:
    """One row of loss for all would be locked by each batch to its commit: processes would take turns."""
    ledger.begin().decide([step(0, "campaigns", campaign_open(quota=0, budget_minor=0, overspend="honour"))])
    first, second = teams[:2]
    second.take_over([1])
    command = item_of(step(0, "claims", claim("c-0")))
    assert isinstance(command, Command)
    with first.connection.transaction():
        state = first.room.prepare(first.connection, [command], lock=False)
        first.room.load(first.connection, state, [command], lock=False)
        first.room.evolve(state, command, first.room.decide(state, command))
        first.room.write(first.connection, state)
        second.connection.execute("SET lock_timeout = '2s'")
        (event,) = second.decide([step(1, "claims", claim("c-1", "u-2"))])
        second.connection.execute("RESET lock_timeout")
    assert orjson.loads(event)["type"] == "voucher.granted"
    assert booked_in(ledger, "loss") == {"spring-1": (-2, -2 * FACE_MINOR)}
