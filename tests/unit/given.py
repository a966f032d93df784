"""What the rooms' given / when / then tests are told in: rows, commands, and how an outcome is judged.

The shards differ on purpose: the vouchers lie on SHARD, commands come by PARTITION.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, Protocol, TypeVar

import jsonschema_rs
import orjson

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event
from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Campaign, Payment, Refund, Reservation, Voucher

NOW_MS = 1_770_307_200_123
HOUR_MS = 3_600_000
SHARD = 2
PARTITION = 5

_CAMPAIGN = Campaign(
    "spring",
    "open",
    "CNY",
    "free_order",
    2500,
    None,
    0,
    NOW_MS - HOUR_MS,
    NOW_MS + HOUR_MS,
    1,
    24 * HOUR_MS,
    HOUR_MS,
    None,
)
_VOUCHER = Voucher(
    "v-1", "spring", "u-1", 1, SHARD, "granted", 2500, NOW_MS - HOUR_MS, NOW_MS + 23 * HOUR_MS, "c-claim", None, None, 0
)
_RESERVATION = Reservation(
    "o-1", "v-1", "spring", "u-1", "m-1", "food", 3, 5000, 1800, "held", NOW_MS, NOW_MS + HOUR_MS, None, 0
)
_PAYMENT = Payment("p-1", "o-1", "u-1", 3200, 1800, 0, "settled", NOW_MS, 0)
_REFUND = Refund("r-1", "p-1", "o-1", "u-1", 3200, None, 1800, True)


class _WorkingSet(Protocol):
    journal: Journal


State = TypeVar("State", bound=_WorkingSet)


def campaign(**changes: Any) -> Campaign:
    """`spring`: open, free orders up to 25.00, for an hour more, one voucher a user."""
    return replace(_CAMPAIGN, **changes)


def voucher(**changes: Any) -> Voucher:
    """`v-1` of user `u-1`, granted an hour ago, stored, worth 25.00."""
    return replace(_VOUCHER, **changes)


def reservation(**changes: Any) -> Reservation:
    """`o-1`: 50.00 less 18.00 of voucher `v-1`, held for an hour more, stored."""
    return replace(_RESERVATION, **changes)


def payment(**changes: Any) -> Payment:
    """`p-1`: the 32.00 that order `o-1` costs after the discount, stored."""
    return replace(_PAYMENT, **changes)


def refund(**changes: Any) -> Refund:
    """`r-1`: the whole of `p-1`, by which the discount went back to the voucher."""
    return replace(_REFUND, **changes)


def command(type_: str, data: dict[str, Any], *, at_ms: int = NOW_MS, offset: int = 40) -> Command:
    """A command that came by PARTITION at `at_ms`; its id tells its offset."""
    return Command(type_, f"c-{offset}", data, PARTITION, offset, at_ms)


def outcome(
    decide: Callable[[State, Command], Event],
    evolve: Callable[[State, Command, Event], None],
    state: State,
    asked: Command,
) -> Event:
    """Decide and apply `asked`, holding what is true of every outcome.

    The event keeps its schema and names its command (an admission's the claim that waited); deciding changes nothing,
    nor does a refusal (unless it ends the waiting) or a duplicate; the journal sums to zero in both units.
    """
    before = _picture(state)
    event = decide(state, asked)
    assert _picture(state) == before, "the decision itself changed the working set"
    evolve(state, asked, event)
    ends_waiting = asked.type == "voucher.admit" and event.data.get("reason") in ("ended", "user_limit")
    if (event.type.endswith(".rejected") and not ends_waiting) or "duplicate" in event.data:
        assert _picture(state) == before, "a refusal or a duplicate changed the working set"
    assert event.data["command_id"] == asked.data.get("claim_id", asked.id)
    assert_fits_schema(event, asked)
    deltas = state.journal.deltas().values()
    assert (sum(delta[0] for delta in deltas), sum(delta[1] for delta in deltas)) == (0, 0)
    return event


def transfers(journal: Journal) -> list[tuple[str, str, int, int]]:
    """The journal's movements: debit and credit as `role/shard`, vouchers, amount_minor."""
    rows = [row.split("\t") for row in journal.rows]
    return [(f"{row[1]}/{row[2]}", f"{row[3]}/{row[4]}", int(row[5]), int(row[6])) for row in rows]


def causes(journal: Journal) -> list[tuple[str, ...]]:
    """Of each movement: voucher, order, and the cause's topic, partition, offset and index."""
    return [tuple(row.split("\t")[7:13]) for row in journal.rows]


def assert_fits_schema(event: Event, asked: Command) -> None:
    """The event as it is published, against its schema under schemas/events."""
    kind = event.type.split(".")[0]
    topic, room = {
        "voucher": ("claim.commands", "claims"),
        "order": ("order.commands", "orders"),
        "payment": ("payment.commands", "payments"),
    }[kind]
    published = {
        "specversion": "1.0",
        "id": f"{topic}/{asked.partition}/{asked.offset}/0",
        "source": f"voucher-ledger/{room}",
        "type": event.type,
        "time": rfc3339(asked.time_ms),
        "data": event.data,
    }
    _validator(event.type).validate(published)


@cache
def _validator(event_type: str) -> jsonschema_rs.Validator:
    shared = orjson.loads((schema_root() / "common.json").read_bytes())
    schema = orjson.loads((schema_root() / "events" / f"{event_type}.json").read_bytes())
    registry = jsonschema_rs.Registry([(shared["$id"], shared)])
    return jsonschema_rs.validator_for(schema, registry=registry, validate_formats=True)


def _picture(state: _WorkingSet) -> tuple[str, tuple[str, ...]]:
    return repr(state), tuple(state.journal.rows)
