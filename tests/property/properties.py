"""The properties themselves, as functions of a story: hypothesis looks for a story that breaks one, the negative
controls plant a fault and expect that one is broken."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import orjson
from structlog.testing import capture_logs

from tests.property.deciding import Ledger
from tests.property.expectations import schema_faults, tally
from tests.property.stories import Batch, Story

_TROUBLE = {"batch failed", "a decision failed", "batch decided again"}


def play_quietly(ledger: Ledger, story: Story) -> list[bytes]:
    """Play a story from empty books; one decider at a time has nothing to try again, and nothing that fails."""
    with capture_logs() as logs:
        events = ledger.begin().play(story)
    trouble = [line for line in logs if line["event"] in _TROUBLE]
    assert trouble == []
    return events


def nothing_is_oversold(ledger: Ledger, story: Story) -> None:
    """At no moment more out than quota and budget (and what was honoured past them), by the events; and the books agree
    with them, in each unit of each role.
    """
    events = play_quietly(ledger, story)
    counted = tally(events, honoured(story, events))
    assert counted.faults == []
    assert ledger.faults() == []
    booked = booked_in(ledger, "granted", "held", "spent")
    assert {name: (counted.vouchers_out[name], counted.out_minor[name]) for name in booked} == booked
    assert set(+counted.vouchers_out) <= set(booked)
    lost = booked_in(ledger, "loss")
    assert {name: (-counted.lost_vouchers[name], -counted.lost_minor[name]) for name in lost} == lost
    assert set(+counted.lost_vouchers) <= set(lost)


def honoured(story: Story, events: Sequence[bytes]) -> set[str]:
    """The campaigns that were opened to honour overspending; `events` are the answers to the steps of `story`."""
    steps = [step for batch in story for step in batch]
    return {
        step.command["data"]["campaign_id"]
        for step, event in zip(steps, map(orjson.loads, events), strict=True)
        if event["type"] == "campaign.opened" and step.command["data"].get("overspend") == "honour"
    }


def booked_in(ledger: Ledger, *roles: str) -> dict[str, tuple[int, int]]:
    """(vouchers, amount_minor) of these roles together, by campaign."""
    rows = ledger.connection.execute(
        """SELECT campaign_id, sum(vouchers)::bigint, sum(amount_minor)::bigint FROM books.account
           WHERE role::text = ANY(%s) GROUP BY campaign_id""",
        (list(roles),),
    ).fetchall()
    return {campaign_id: (vouchers, amount_minor) for campaign_id, vouchers, amount_minor in rows}


def batches_do_not_matter(ledger: Ledger, story: Story, split: Story) -> None:
    """`split` is `story` in other batches: the same answers, byte for byte, and the same books."""
    events = play_quietly(ledger, story)
    picture = ledger.picture()
    for other in ([[step] for batch in story for step in batch], split):
        differing = [pair for pair in zip(play_quietly(ledger, other), events, strict=True) if pair[0] != pair[1]]
        assert differing == []
        books = ledger.picture()
        assert {name: rows for name, rows in books.items() if rows != picture[name]} == {}


def duplicates_change_nothing(ledger: Ledger, story: Story, again: Sequence[int], later_ms: int) -> None:
    """Accepted commands sent again, in the order of `again` (a permutation), get their outcomes again."""
    steps = [step for batch in story for step in batch]
    events = [orjson.loads(event) for event in play_quietly(ledger, story)]
    before = ledger.picture()
    accepted = [
        (step, event) for step, event in zip(steps, events, strict=True) if not event["type"].endswith(".rejected")
    ]
    ends = Counter[tuple[str, int]]((step.room, step.partition) for step in steps)
    for place in again:
        if place >= len(accepted):
            continue
        step, first = accepted[place]
        repeated = replace(step, offset=ends[step.room, step.partition], time_ms=steps[-1].time_ms + later_ms)
        ends[step.room, step.partition] += 1
        answers = [(answer["type"], answer["data"]) for answer in map(orjson.loads, ledger.decide([repeated]))]
        assert answers == [(first["type"], {**first["data"], "duplicate": True})]
    assert ledger.picture() == before
    assert ledger.faults() == []


def order_of_rooms_does_not_matter(ledger: Ledger, batches: Sequence[Batch]) -> None:
    """Whatever order the rooms come in (each keeps its own): one outcome a command, and clean books."""
    events = play_quietly(ledger, list(batches))
    assert len(events) == sum(len(batch) for batch in batches)
    assert ledger.faults() == []


def events_keep_their_schemas(ledger: Ledger, story: Story) -> None:
    """Every event is one that an outside program, written against schemas/, can read."""
    assert schema_faults(play_quietly(ledger, story)) == []
