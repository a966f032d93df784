"""What `voucher-ledger replay seal` and `verify --seals` do."""

import sys
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import orjson

from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.operations import connect
from voucher_ledger.replay.printing import console, told
from voucher_ledger.replay.seals import rows
from voucher_ledger.replay.seals.chain import Head
from voucher_ledger.replay.seals.heads import document, fingerprint
from voucher_ledger.replay.seals.render import show, show_heads
from voucher_ledger.replay.seals.verify import verify_seals
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.postgres import asking_postgres
from voucher_ledger.runtime.settings import Settings


def seal(settings: Settings, *, out: Path | None, json: bool) -> int:
    """Print the end of each partition's chain, and write it into a new file. Raises Unreachable, NotSetUp, Refused."""
    with asking_postgres(), connect(settings) as connection:
        heads = rows.heads(connection)
    kept = document(heads, datetime.now(UTC))
    if out is not None:
        try:
            with out.open("xb") as file:
                file.write(orjson.dumps(kept, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise Refused(f"{out} was not written: {error.strerror}") from error
    if json:
        sys.stdout.buffer.write(orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE))
    else:
        show_heads(heads, fingerprint(heads), console())
    return ExitCode.DONE


def verify(
    settings: Settings,
    kept: Collection[Head],
    partitions: frozenset[int] | None,
    *,
    json: bool,
    rate: float | None = None,
) -> int:
    """Verify the seals and print what was found.

    Returns:
        0 all is as it was sealed; 1 it is not. Raises Unread, Unreachable, NotSetUp.
    """
    with Bar("reading the topics", None) as bar:
        report = verify_seals(settings, Event(), kept, partitions, progress=bar, rate=rate)
    return told(report, show, json=json)
