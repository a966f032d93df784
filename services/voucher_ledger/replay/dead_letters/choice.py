"""Which dead letters are meant, and which of them may be driven again. Pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.core.records import Place
from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.marks import Mark, MarkKind
from voucher_ledger.runtime.incoming import lacks_record

ATTEMPTS_MAX = 3
# A name that was sent says what is to be mended, and is no particular; a long one is none that anybody chose.
_NAME = r'"(?:[^"\\]|\\.){0,30}"'
_KEPT = rf"unknown (?:field|type) {_NAME}(?:, {_NAME})*|\[{_NAME}\]|\b0x[0-9a-f]{{2}}\b|\bUTF-8\b"
_PARTICULAR = re.compile(
    rf"""(?P<kept>{_KEPT})|b?'[^']*'|"(?:[^"\\]|\\.)*"|\bhex [0-9a-f]+"""
    r"""|(?:(?<!\w)-)?\d+(?:[,.]\d+)*(?:e[+-]?\d+)?"""
)


class State(StrEnum):
    """What has been done about a letter."""

    OPEN = "open"
    REDRIVEN = "redriven"
    QUARANTINED = "quarantined"


class Verdict(StrEnum):
    """What redrive does with a letter, or why it leaves it where it is."""

    REDRIVE = "redrive"
    REDRIVEN_BEFORE = "redriven before"
    QUARANTINED = "quarantined"
    DIED_TOO_OFTEN = "died too often"
    NO_COMMAND_TOPIC = "of no command topic"
    NO_SUCH_COMMAND = "of a command past its topic's end"
    NOT_THERE = "not in its letter, which says why (--edit sends another value)"


# Whether these may be driven, a person must say.
FOR_A_PERSON = (Verdict.DIED_TOO_OFTEN, Verdict.NO_COMMAND_TOPIC, Verdict.NO_SUCH_COMMAND, Verdict.NOT_THERE)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a letter must be to be meant: all that is given must hold.

    `topics` are command topics, `error` is a part of the reason (any case), `error_pattern` is found in it, `key` is
    the record's whole key, `places` name letters themselves, `states` what was done about them.
    """

    topics: frozenset[str] = frozenset()
    error: str | None = None
    error_pattern: re.Pattern[str] | None = None
    key: bytes | None = None
    places: frozenset[tuple[int, int]] = frozenset()
    states: frozenset[State] = field(default_factory=lambda: frozenset(State))

    def takes(self, letter: Letter, mark: Mark | None) -> bool:
        """Whether the letter is meant."""
        return (
            (not self.places or letter.place in self.places)
            and (not self.topics or letter.topic in self.topics)
            and (self.error is None or self.error.lower() in letter.error.lower())
            and (self.error_pattern is None or self.error_pattern.search(letter.error) is not None)
            and (self.key is None or letter.key == self.key)
            and state_of(mark) in self.states
        )


def state_of(mark: Mark | None) -> State:
    """What the last mark of a letter says of it."""
    if mark is None or mark.kind is MarkKind.RELEASED:
        return State.OPEN
    return State.REDRIVEN if mark.kind is MarkKind.REDRIVEN else State.QUARANTINED


def verdict(
    letter: Letter,
    mark: Mark | None,
    *,
    attempts_max: int = ATTEMPTS_MAX,
    again_before_ms: int | None = None,
    ends: Mapping[Place, int] | None = None,
    is_edited: bool = False,
) -> Verdict:
    """Whether a letter may be driven again.

    Args:
        letter: the letter.
        mark: its last mark, None where there is none.
        attempts_max: a letter that has died so often stays where it is: what sends it again makes a loop.
        again_before_ms: drive it although it was driven before, if that was before this time. (A time and no yes or no:
            a run that was killed is repeated by the same command, and must not drive twice what it drove itself.)
        ends: where each partition of commands ends: nobody ever consumed what a letter past it says that it was, so it
            was written by somebody else, or its topic was made anew. None where that is not asked.
        is_edited: another key and value are sent in its place, so its own need not be there.
    """
    if letter.topic not in COMMANDS_BY_TOPIC:
        return Verdict.NO_COMMAND_TOPIC
    state = state_of(mark)
    if state is State.QUARANTINED:
        return Verdict.QUARANTINED
    if state is State.REDRIVEN and mark is not None and mark.time_ms >= (again_before_ms or 0):
        return Verdict.REDRIVEN_BEFORE
    if ends is not None and letter.cause_offset >= ends.get((letter.topic, letter.cause_partition), 0):
        return Verdict.NO_SUCH_COMMAND
    if not is_edited and None in (letter.key, letter.value) and lacks_record(letter.error):
        return Verdict.NOT_THERE
    return Verdict.DIED_TOO_OFTEN if letter.attempts >= attempts_max else Verdict.REDRIVE


def partitions_of(places: Collection[tuple[int, int]]) -> set[int]:
    """The partitions that hold the letters at `places`."""
    return {partition for partition, _ in places}


def kind_of(error: str) -> str:
    """A reason without what differs from record to record, so that reasons can be counted: quoted texts and numbers,
    but for the names of fields and types that nobody knows, and of bytes and encodings.
    """
    return _PARTICULAR.sub(lambda found: found["kept"] or "…", error)
