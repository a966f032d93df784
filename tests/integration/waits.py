"""Waits for what the books say, with one deadline."""

import subprocess
import time
from collections.abc import Callable

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.world import World


def wait_decided(world: World, topic: str, count: int, seconds_max: float = WAIT_SECONDS_MAX) -> None:
    """Wait until `count` records of `topic` are decided (whether or not they are published)."""
    _wait(lambda: decided(world, topic) >= count, f"{count} records of {topic} decided", seconds_max)


def decided(world: World, topic: str) -> int:
    """How many records of `topic` are decided, by the ledger's positions."""
    row = world.connection.execute(
        "SELECT coalesce(sum(next_offset), 0) FROM books.position, pg_sleep(0.05) WHERE topic = %s", (topic,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def wait_assigned(world: World, topic: str, partitions: int) -> None:
    """Wait until processors have held that many partitions of `topic`."""

    def held() -> bool:
        row = world.connection.execute(
            "SELECT count(*) FROM books.position, pg_sleep(0.05) WHERE topic = %s", (topic,)
        ).fetchone()
        return row is not None and int(row[0]) >= partitions

    _wait(held, f"{partitions} partitions of {topic} assigned")


def wait_outbox_empty(world: World) -> None:
    """Wait until nothing decided waits in the outbox."""
    _wait(lambda: outbox_rows(world) == 0, "an empty outbox")


def wait_outbox_rows(world: World, count: int, first_offset: int) -> None:
    """Wait until `count` rows from `first_offset` on are in the outbox."""
    _wait(lambda: outbox_rows(world, first_offset) >= count, f"{count} rows in the outbox")


def outbox_rows(world: World, first_offset: int = 0) -> int:
    """How many rows of the outbox begin at `first_offset` or above."""
    row = world.connection.execute(
        "SELECT count(*) FROM books.outbox, pg_sleep(0.05) WHERE first_offset >= %s", (first_offset,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def wait_vouchers_due(world: World) -> None:
    """Wait until all vouchers that were granted are past their time."""
    _wait(lambda: vouchers_alive(world) == 0, "end of the vouchers' lives")


def vouchers_alive(world: World) -> int:
    """How many vouchers are not yet due, by the server's clock: the broker's too, which stamps their expiries."""
    row = world.connection.execute(
        "SELECT count(*) FROM books.voucher, pg_sleep(0.05) WHERE expires_at_ms >= extract(epoch FROM now()) * 1000"
    ).fetchone()
    assert row is not None
    return int(row[0])


def wait_ended(process: subprocess.Popen[bytes]) -> None:
    """Wait until a processor has stopped by itself, with an error."""
    assert process.wait(WAIT_SECONDS_MAX) > 0


def _wait(reached: Callable[[], bool], what: str, seconds_max: float = WAIT_SECONDS_MAX) -> None:
    deadline = time.monotonic() + seconds_max
    while not reached():
        assert time.monotonic() < deadline, f"no {what} within {seconds_max} s"
