"""The heads of the chains as they are kept outside of the ledger: one JSON object, and one line of it for paper.

Whoever can write the ledger and the topics can make a new chain over what he changed. He can't make it end in a head
that somebody else has kept.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from voucher_ledger.replay.seals.chain import Head

FORMAT = "voucher-ledger heads 1"


class NoHeads(ValueError):
    """A file holds no heads as they were printed; the text says what is wrong with it."""


def fingerprint(heads: Sequence[Head]) -> str:
    """SHA-256 (hex) over all heads, a line each: short enough for paper, and enough to know the file again."""
    lines = sorted(
        f"{head.topic}/{head.partition} {head.number} {head.next_offset} {head.seal.hex()}\n" for head in heads
    )
    return sha256("".join(lines).encode()).hexdigest()


def document(heads: Sequence[Head], taken_at: datetime) -> dict[str, Any]:
    """The heads as one JSON object; `taken_at` is for people."""
    rows = [
        {
            "topic": head.topic, "partition": head.partition, "number": head.number, "next_offset": head.next_offset,
            "seal": head.seal.hex(),
        }
        for head in heads
    ]  # fmt: skip
    at = taken_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"format": FORMAT, "taken_at": at, "heads": rows, "fingerprint": fingerprint(heads)}


def read(path: Path) -> list[Head]:
    """The heads of a file.

    Raises:
        NoHeads: it is no such file, or its heads are not those of its fingerprint.
        OSError: it can't be read.
    """
    try:
        held = orjson.loads(path.read_bytes())
        if held["format"] != FORMAT:
            raise NoHeads(f"{path}: the format is {held['format']!r}, not {FORMAT!r}")
        heads = [
            Head(
                str(row["topic"]), int(row["partition"]), int(row["number"]), int(row["next_offset"]),
                bytes.fromhex(row["seal"]),
            )
            for row in held["heads"]
        ]  # fmt: skip
        told = held["fingerprint"]
    except NoHeads:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise NoHeads(f"{path} holds no heads as `voucher-ledger replay seal` prints them: {error!r}") from error
    if told != fingerprint(heads):
        raise NoHeads(f"{path}: its heads are not those of its fingerprint: it was changed, or cut off")
    return heads
