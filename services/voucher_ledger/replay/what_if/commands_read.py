"""Reads the recorded commands of all rooms in one order, the same each time: record time, topic, partition, offset."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import cast

from voucher_ledger.core.messages import ROOM_BY_COMMAND_TOPIC
from voucher_ledger.core.records import Command
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.replay.bounds import Bound
from voucher_ledger.replay.copying.merge import Merge
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import Span, paced, records, spans
from voucher_ledger.replay.what_if.played import TIME_DRIVEN, Belonging, Played
from voucher_ledger.replay.what_if.rules import CAMPAIGN_TOPIC
from voucher_ledger.runtime.incoming import Record, incoming
from voucher_ledger.runtime.outbox import DeadLetter
from voucher_ledger.runtime.settings import Settings

ROOMS_BY_TOPIC: dict[str, str] = {str(topic): str(room) for topic, room in ROOM_BY_COMMAND_TOPIC.items()}


def parts_of(settings: Settings, since: Bound, until: Bound) -> list[Span]:
    """What is read of each command topic: of campaigns' all up to `until`, since the rules come from there.

    Raises Unreachable, NotSetUp.
    """
    return [
        part
        for topic in ROOMS_BY_TOPIC
        for part in spans(settings, topic, None, Bound() if topic == CAMPAIGN_TOPIC else since, until)
    ]


def openings(settings: Settings, parts: Sequence[Span], rate: float | None = None) -> list[Command]:
    """Every campaign.open among `parts`, in the order of partitions and offsets. Raises Unread."""
    decoder = CommandDecoder(CAMPAIGN_TOPIC)
    own = [part for part in parts if part.topic == CAMPAIGN_TOPIC]
    found = []
    for message in paced(records(settings, own), rate):
        command = incoming(cast("Record", message), int(message.partition() or 0), int(message.offset() or 0), decoder)
        if isinstance(command, Command) and command.type == "campaign.open":
            found.append(command)
    return sorted(found, key=lambda opening: (opening.partition, opening.offset))


class CommandsRead:
    """The commands of `parts` that belong, each noted in `played`. To be iterated once.

    At most `rate` a second. `by_type` counts those that are played, `time_driven` the recorded ones in whose place
    others are made, `undecidable` what no room could decide. `read` counts all records; the last of them was at
    `last_ms`.
    """

    def __init__(
        self, settings: Settings, parts: Sequence[Span], belonging: Belonging, played: Played, rate: float | None
    ) -> None:
        self._merge = paced(Merge(settings, parts), rate)
        self._decoders = {topic: CommandDecoder(topic) for topic in ROOMS_BY_TOPIC}
        self._belonging = belonging
        self._played = played
        self.by_type: Counter[str] = Counter()
        self.time_driven: Counter[str] = Counter()
        self.undecidable = 0
        self.read = 0
        self.last_ms = 0

    def __iter__(self) -> Iterator[tuple[int, str, Command]]:
        """(time in ms that never goes back, room, command). Raises Unread."""
        for now_ms, message in self._merge:
            self.read += 1
            self.last_ms = now_ms
            topic = str(message.topic())
            place = (int(message.partition() or 0), int(message.offset() or 0))
            command = incoming(cast("Record", message), *place, self._decoders[topic])
            if isinstance(command, DeadLetter):
                self.undecidable += 1
                continue
            if not self._belonging.has(command):
                continue
            self._played.add(topic, command)
            if command.type in TIME_DRIVEN:
                self.time_driven[command.type] += 1
                continue
            self.by_type[command.type] += 1
            yield now_ms, ROOMS_BY_TOPIC[topic], command


def opened_once(found: Sequence[Command], wanted: Sequence[str]) -> None:
    """Raise Refused where a campaign that is asked for was never opened."""
    missing = sorted(set(wanted) - {opening.data["campaign_id"] for opening in found})
    if missing:
        raise Refused(
            f"{CAMPAIGN_TOPIC} has no campaign.open of {', '.join(missing)} before the end of what is asked for"
        )


def refuse_nothing_played(by_type: Mapping[str, int], chosen: Collection[str]) -> None:
    """Raise Refused where no claim, order or payment was among the commands that were read: of nothing every count is
    as it was recorded, and a self check of nothing must not pass. Campaigns' commands are always read from the first.
    """
    if any(not type_.startswith("campaign.") for type_, count in by_type.items() if count):
        return
    of = f" of {', '.join(sorted(chosen))}" if chosen else ""
    raise Refused(f"nothing was played: no claim, order or payment{of} lies between --from and --to")
