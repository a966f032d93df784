"""The waiting room against lines kept by hand, and drained by deciders of several partitions in any order."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.by_hand import FACE_MINOR, OPEN_S, START_MS, TTL_S, campaign_open, claim, envelope, expire, step
from tests.property.deciding import Ledger, Processor, Step
from tests.property.test_one_decider import STEADY

pytestmark = pytest.mark.integration

PARTITIONS = 3
USERS = 8
END_MS = START_MS + OPEN_S * 1_000

Answer = tuple[str, str, object]
"""(type, the claim it answers, position or reason or the voucher's id)."""


@dataclass
class Lines:
    """What the campaign should do, kept by hand: a list of (user, claim) a partition."""

    quota: int
    limit: int
    lines: dict[int, list[tuple[str, str]]] = field(default_factory=lambda: {n: [] for n in range(PARTITIONS)})
    vouchers: dict[str, dict[str, str]] = field(default_factory=lambda: {f"u-{n}": {} for n in range(USERS)})
    granted: list[tuple[str, str]] = field(default_factory=list)

    def where(self, user: str) -> tuple[int, int, str] | None:
        """(partition, position, claim) of a user who waits."""
        for partition, line in self.lines.items():
            for place, (name, claim_id) in enumerate(line):
                if name == user:
                    return partition, place + 1, claim_id
        return None

    def claim(self, partition: int, offset: int, user: str, claim_id: str, *, over: bool) -> Answer:
        """A claim's answer."""
        if claim_id in self.vouchers[user]:
            return "voucher.granted", claim_id, self.vouchers[user][claim_id]
        waits = self.where(user)
        if waits is not None and waits[2] == claim_id:
            return "voucher.queued", claim_id, waits[1]
        if over:
            return "voucher.rejected", claim_id, "ended"
        if len(self.vouchers[user]) >= self.limit or waits is not None:
            return "voucher.rejected", claim_id, "user_limit"
        if any(self.lines.values()) or self.quota == 0:
            self.lines[partition].append((user, claim_id))
            return "voucher.queued", claim_id, len(self.lines[partition])
        return self._grant(partition, offset, user, claim_id)

    def admit(self, partition: int, offset: int, user: str, claim_id: str, *, over: bool) -> Answer:
        """An admission's answer."""
        waits = self.where(user)
        if waits is None or waits[2] != claim_id:
            if claim_id in self.vouchers[user]:
                return "voucher.granted", claim_id, self.vouchers[user][claim_id]
            return "voucher.rejected", claim_id, "conflict"
        if waits[0] != partition:
            return "voucher.rejected", claim_id, "conflict"
        if waits[1] == 1 and over:
            self.lines[partition].pop(0)
            return "voucher.rejected", claim_id, "ended"
        if waits[1] > 1 or self.quota == 0:
            return "voucher.queued", claim_id, waits[1]
        self.lines[partition].pop(0)
        return self._grant(partition, offset, user, claim_id)

    def _grant(self, partition: int, offset: int, user: str, claim_id: str) -> Answer:
        voucher_id = f"v{partition}-{offset}"
        self.quota -= 1
        self.vouchers[user][claim_id] = voucher_id
        self.granted.append((user, voucher_id))
        return "voucher.granted", claim_id, voucher_id


Story = tuple[dict[str, Any], list[list[Step]], list[Answer | None]]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """An opening, batches of steps, and the answer that each step should get (None: of no interest)."""
    quota, limit = draw(st.integers(0, 4)), draw(st.sampled_from((1, 1, 2)))
    opening = campaign_open(
        quota=quota, budget_minor=50 * FACE_MINOR, per_user_limit=limit, when_empty="queue", voucher_ttl_s=TTL_S
    )
    hand = Lines(quota, limit)
    now_ms, steps, answers = START_MS, [], []
    offsets: Counter[tuple[str, int]] = Counter({("campaigns", 0): 1})
    expired: set[str] = set()

    def say(room: str, partition: int, command: dict[str, Any], answer: Answer | None) -> None:
        steps.append(step(partition, room, command, offset=offsets[room, partition], at_ms=now_ms))
        offsets[room, partition] += 1
        answers.append(answer)

    for number in range(draw(st.integers(1, 30))):
        kind = draw(
            st.sampled_from((*["claim"] * 5, *["admit"] * 3, "top_up", "top_up", "expire", "any", "any", "end"))
        )
        partition = draw(st.integers(0, PARTITIONS - 1))
        user = f"u-{draw(st.integers(0, USERS - 1))}"
        over = now_ms >= END_MS
        offset = offsets["claims", partition]
        if kind == "claim":
            claim_id = f"c-{draw(st.integers(0, 3))}"
            answer = hand.claim(partition, offset, user, claim_id, over=over)
            say("claims", partition, claim(claim_id, user), answer)
        elif kind == "admit" and hand.lines[partition]:
            user, claim_id = hand.lines[partition][0]
            say("claims", partition, admit(user, claim_id), hand.admit(partition, offset, user, claim_id, over=over))
        elif kind == "any":
            # Mostly one who waits, not always at the head of the line or in this partition.
            waiting = [(number, *one) for number, line in hand.lines.items() for one in reversed(line)]
            own, user, claim_id = draw(st.sampled_from([*waiting, (partition, user, f"c-{draw(st.integers(0, 3))}")]))
            partition = own if draw(st.integers(0, 3)) else partition
            offset = offsets["claims", partition]
            say("claims", partition, admit(user, claim_id), hand.admit(partition, offset, user, claim_id, over=over))
        elif kind == "top_up":
            more = draw(st.integers(1, 3))
            data = {"campaign_id": "spring-1", "quota": more, "budget_minor": 0, "approved_by": "f", "reason": "r"}
            hand.quota += more
            say("campaigns", 0, envelope("campaign.top_up", f"top-{number}", data), None)
        elif kind == "expire" and hand.granted:
            user, voucher_id = draw(st.sampled_from(hand.granted))
            now_ms = min(max(now_ms, now_ms + TTL_S * 1_000), END_MS - 1) if not over else now_ms
            granted_ms = next(
                s.time_ms for s in steps if f"v{s.partition}-{s.offset}" == voucher_id and s.room == "claims"
            )
            if voucher_id not in expired and now_ms >= granted_ms + TTL_S * 1_000:
                expired.add(voucher_id)
                hand.quota += 1
            say("claims", partition, expire(user, voucher_id), None)
        elif kind == "end" and draw(st.integers(0, 5)) == 5:
            now_ms = max(now_ms, END_MS)
    return opening, batched(draw, steps), answers


def batched(draw: st.DrawFn, steps: Sequence[Step]) -> list[list[Step]]:
    """The steps in their order, in batches of one room each."""
    batches: list[list[Step]] = []
    for one in steps:
        if not batches or batches[-1][0].room != one.room or draw(st.integers(0, 3)) == 0:
            batches.append([])
        batches[-1].append(one)
    return batches


def admit(user_id: str, claim_id: str) -> dict[str, Any]:
    data = {"campaign_id": "spring-1", "user_id": user_id, "claim_id": claim_id}
    return envelope("voucher.admit", f"admit-{user_id}-{claim_id}", data)


def answer_of(encoded: bytes) -> Answer:
    event = orjson.loads(encoded)
    data = event["data"]
    told = data.get("reason", data.get("queue_position", data.get("voucher_id")))
    return event["type"], data["command_id"], told


@given(story=stories())
@settings(STEADY, max_examples=80)
def test_each_is_answered_as_the_lines_by_hand_have_it(ledger: Ledger, story: Story) -> None:
    opening, batches, expected = story
    ledger.begin()
    ledger.decide([step(0, "campaigns", opening)])
    answered = [answer_of(event) for event in ledger.play(batches)]
    told = [answer if wanted is not None else None for answer, wanted in zip(answered, expected, strict=True)]
    assert told == expected
    assert ledger.faults() == []


@given(
    waits=st.lists(st.integers(0, 6), min_size=PARTITIONS, max_size=PARTITIONS),
    supply=st.integers(0, 12),
    order=st.randoms(use_true_random=False),
    again=st.booleans(),
)
@settings(STEADY, max_examples=40)
def test_whatever_the_order_of_deciders_each_line_is_served_in_turn_and_nobody_twice(
    ledger: Ledger, waits: list[int], supply: int, order: Any, again: bool
) -> None:
    """Each partition has a processor of its own, as after a rebalance; admissions are sent for all, some twice."""
    ledger.begin()
    ledger.decide([step(0, "campaigns", campaign_open(quota=0, budget_minor=50 * FACE_MINOR, when_empty="queue"))])
    processors = [Processor(ledger.dsn, "claims") for _ in range(PARTITIONS)]
    try:
        batches: list[list[Step]] = []
        for partition, count in enumerate(waits):
            processors[partition].take_over([partition])
            joins = [step(partition, "claims", claim("c", f"u-{partition}-{n}"), offset=n) for n in range(count)]
            if joins:
                processors[partition].decide(joins)
            sent = [n for n in range(count) for _ in range(2 if again else 1)]
            admissions = [
                step(partition, "claims", admit(f"u-{partition}-{n}", "c"), offset=count + place)
                for place, n in enumerate(sent)
            ]
            while admissions:
                size = order.randint(1, len(admissions))
                batches.append(admissions[:size])
                admissions = admissions[size:]
        data = {"campaign_id": "spring-1", "quota": supply, "budget_minor": 0, "approved_by": "f", "reason": "r"}
        if supply:
            ledger.decide([step(0, "campaigns", envelope("campaign.top_up", "top", data), offset=1)])
        queues = [[batch for batch in batches if batch[0].partition == n] for n in range(PARTITIONS)]
        granted: list[str] = []
        while any(queues):
            queue = order.choice([one for one in queues if one])
            batch = queue.pop(0)
            events = [orjson.loads(event) for event in processors[batch[0].partition].decide(batch)]
            granted += [
                e["data"]["user_id"] for e in events if e["type"] == "voucher.granted" and "duplicate" not in e["data"]
            ]
    finally:
        for processor in processors:
            processor.connection.close()
    assert len(granted) == len(set(granted)) == min(supply, sum(waits))
    for partition in range(PARTITIONS):
        own = [user for user in granted if user.startswith(f"u-{partition}-")]
        assert own == [f"u-{partition}-{n}" for n in range(len(own))]
    assert ledger.faults() == []


def test_a_batch_is_decided_in_which_the_last_who_waits_is_told_the_end_before_an_earlier_claim(ledger: Ledger) -> None:
    """Once he has left, the claim comes to the lease, and it must have been proven empty."""
    ledger.begin()
    ledger.decide([step(0, "campaigns", campaign_open(quota=0, when_empty="queue"))])
    ledger.decide([step(0, "claims", claim("c", "u-0"))])
    batch = [
        step(0, "claims", admit("u-0", "c"), offset=1, at_ms=END_MS + 300),
        step(1, "claims", claim("c", "u-1"), at_ms=END_MS - 100),
    ]
    answers = [answer_of(event) for event in ledger.decide(batch)]
    assert answers == [("voucher.rejected", "c", "ended"), ("voucher.queued", "c", 1)]
    assert ledger.faults() == []
