"""What a seek would do, and whether it may. Pure: all that it rests on is read before."""

from dataclasses import dataclass
from enum import StrEnum

from voucher_ledger.core.wording import counted
from voucher_ledger.replay.errors import KILLED_LEAVE
from voucher_ledger.runtime.published_mark import beyond_end


class Kind(StrEnum):
    """Which way the ledger's position moves."""

    FORWARD = "forward"
    BACK = "back"
    STAY = "stay"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a partition stands, all first offsets not yet done.

    `decided` is the ledger's position (where it has none: the topic's first record), `committed` the group's offset
    (None where it has none), `low` and `high` what the topic holds. `answered` is the greatest offset that a published
    event or dead letter answers and `moved` the greatest that a transfer names as its cause (-1: none); `unpublished`
    counts batches in the outbox, which reach up to `outbox_end`. `alive` says who may be deciding.
    """

    topic: str
    partition: int
    decided: int
    committed: int | None
    low: int
    high: int
    answered: int
    moved: int
    unpublished: int
    outbox_end: int
    alive: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The partition, for people."""
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What was found and what would be done, in sentences; where there is a `refusal`, only the first is told."""

    kind: Kind
    to: int
    steps: tuple[str, ...]
    refusal: str | None = None


def plan(standing: Standing, to: int) -> Plan:
    """What a seek of the partition to offset `to` does: the next record that is decided is that one."""
    kind = Kind.STAY if to == standing.decided else Kind.FORWARD if to > standing.decided else Kind.BACK
    back = _back(standing, to) if kind is Kind.BACK else None
    refusal = _alive(standing) or _outside(standing, to)
    refusal = refusal or behind(standing.name, standing.decided, standing.answered, standing.high) or back
    # A plan rests on what the refusal denies ("nothing from there on was answered"), so it would be false there.
    steps = [] if refusal is not None else _steps(standing, to, kind)
    return Plan(kind, to, (_found(standing), *steps), refusal)


def behind(name: str, decided: int, answered: int, high: int) -> str | None:
    """Why partition `name`, which ends at `high`, may not be moved at all: a record that is not decided is `answered`
    (an offset) already.
    """
    if answered < decided:
        return None
    if answered >= high:
        return beyond_end(name, answered, high)
    return (
        f"{name}: offset {answered} is answered, but decided is only up to {decided}: this ledger is older than what "
        "was published, and would answer it twice. Make it anew by `voucher-ledger replay rebuild`; never seek"
    )


def _alive(standing: Standing) -> str | None:
    if not standing.alive:
        return None
    return (
        f"somebody may be deciding {standing.topic}: {', '.join(standing.alive)}. Stop the room's processors first; "
        f"{KILLED_LEAVE}"
    )


def _outside(standing: Standing, to: int) -> str | None:
    if standing.low <= to <= standing.high:
        return None
    return f"{standing.name} holds the offsets {standing.low} to {standing.high}: {to} is outside"


def _back(standing: Standing, to: int) -> str | None:
    last = max(standing.answered, standing.moved, standing.outbox_end - 1)
    if last < to:
        return None
    return (
        f"{standing.name}: offset {last} is answered or has moved the books already, and so may be others from {to} "
        "on: to decide them again would answer them twice. A refused command may be sent again; what was dead-lettered "
        "is driven again by `voucher-ledger replay dead-letters redrive`"
    )


def _found(standing: Standing) -> str:
    committed = "none" if standing.committed is None else str(standing.committed)
    return (
        f"{standing.name}: decided up to {standing.decided}, the group's offset is {committed}, the topic holds "
        f"{standing.low} to {standing.high}, answered is up to {standing.answered}"
    )


def _steps(standing: Standing, to: int, kind: Kind) -> list[str]:
    told = ["raise the partition's epoch: whoever held it can't decide or publish any more"]
    if standing.unpublished:
        batches = counted(standing.unpublished, "batch", "batches")
        told.append(f"publish what is decided and not published: {batches} in the outbox")
    if kind is Kind.FORWARD:
        skipped = counted(to - standing.decided, "offset")
        told.append(
            f"skip {skipped}: each record there goes to ledger.dead-letters, in the one transaction that moves the "
            "position"
        )
        if standing.low > standing.decided:
            told.append(
                f"say nothing of the offsets {standing.decided} to {standing.low - 1}: they were deleted before they "
                "were decided, so no letter can hold them, and nobody gets an answer"
            )
    elif kind is Kind.BACK:
        told.append(f"move the position back to {to}: nothing from there on was answered")
    else:
        told.append("leave the position where it is")
    told.append(f"commit {to} as the group's offset, in the Kafka transaction that publishes")
    return told
