"""The arguments of `voucher-ledger replay seek`."""

from enum import StrEnum
from typing import Annotated

import typer

from voucher_ledger.replay.letter_filter_arguments import Apply, AsJson, Reason, needs_reason
from voucher_ledger.replay.manual import manual
from voucher_ledger.runtime import settings

SEEK = manual("""
Move a partition's position in the ledger and its group's offset together.

The ledger's position says what is decided, the group's offset what is published. kafka-consumer-groups moves the second
alone, and the processor then stops, as the two contradict each other: this is the tool for both. It tells what would
happen first, and does it with --apply.

Forward (a record that no processor gets past): each skipped record becomes a dead letter, with the reason "skipped by
operator: ..." and all its bytes, so that commands = outcomes + dead letters stays true and it can be driven again by
`replay dead-letters redrive`. At most --max records.

Back: refused where anything from --to on is answered or has moved the books, since it would be decided twice. What is
left are positions that were moved past records nobody decided.

Where it is refused, what was found is told, and why; no plan. An answer past the end of the commands is no sign of an
older ledger: somebody added it, see "Tampering is suspected" in docs/OPERATIONS.md.

To where the ledger stands: mends a group's offset that somebody moved. What is published is then taken from the
published events themselves.

Stop the room's processors first: it is refused while one is connected or a member of the group. The partition's epoch
is raised, so one that wakes up later can't decide or publish. Killed before its Postgres transaction commits, nothing
has happened; after it, all has, and a processor or the same command publishes it.
""")


class Room(StrEnum):
    """The rooms."""

    CAMPAIGNS = "campaigns"
    CLAIMS = "claims"
    ORDERS = "orders"
    PAYMENTS = "payments"


def seek(
    room: Annotated[Room, typer.Option(help="Whose position.")],
    partition: Annotated[int, typer.Option(min=0, help="Of the room's command topic.")],
    to: Annotated[int, typer.Option(min=0, help="The offset of the record that is to be decided next.")],
    count_max: Annotated[int, typer.Option("--max", min=1, max=100_000, help="Skip at most so many records.")] = 100,
    apply: Apply = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Move a partition's position in the ledger and its group's offset together."""
    from voucher_ledger.replay.errors import ended
    from voucher_ledger.replay.seek import command

    needs_reason(apply, reason)
    loaded = settings.load()
    raise typer.Exit(
        ended(
            lambda: command.run(
                loaded, room.value, partition, to, count_max=count_max, apply=apply, reason=reason, json=as_json
            )
        )
    )
