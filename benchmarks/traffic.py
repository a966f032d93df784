"""The commands that are measured: well-formed, each to be accepted, made the same way in every round."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import psycopg
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from voucher_ledger.runtime import kafka
from voucher_ledger.runtime.settings import Settings

CAMPAIGN = "benchmark"
FACE_MINOR = 2_500
ORDER_MINOR = 3_000
COMMAND_TIME = "2026-02-06T00:00:00Z"
FLUSH_SECONDS_MAX = 120.0
BUFFER_WAIT_SECONDS = 0.05

Record = tuple[bytes, bytes]


def command(type_: str, command_id: str, user_id: str, data: dict[str, Any]) -> Record:
    """A command's key and value; `data` without its user_id."""
    envelope = {
        "specversion": "1.0",
        "id": command_id,
        "source": "benchmark",
        "type": type_,
        "time": COMMAND_TIME,
        "data": {**data, "user_id": user_id},
    }
    return user_id.encode(), orjson.dumps(envelope)


def campaign_open(quota: int, campaign_id: str = CAMPAIGN, *, budget: int | None = None, queue: bool = False) -> Record:
    """A campaign: `quota` free orders, a voucher a user, open for as long as anyone measures. Its budget is for
    `budget` of them (None: for the quota); with `queue` claims wait where it is empty.
    """
    data = {
        "campaign_id": campaign_id,
        "name": "Benchmark",
        "currency": "CNY",
        "quota": quota,
        "budget_minor": (quota if budget is None else budget) * FACE_MINOR,
        "when_empty": "queue" if queue else "reject",
        "voucher": {"kind": "free_order", "face_value_minor": FACE_MINOR},
        "starts_at": "2020-01-01T00:00:00Z",
        "ends_at": "2100-01-01T00:00:00Z",
        "per_user_limit": 1,
        "voucher_ttl_s": 86_400,
        "hold_ttl_s": 43_200,
    }
    return _campaign_command("open", campaign_id, data)


def campaign_top_up(quota: int) -> Record:
    """So many vouchers more, for which the budget is there already."""
    data = {
        "campaign_id": CAMPAIGN,
        "quota": quota,
        "budget_minor": 0,
        "approved_by": "benchmark",
        "reason": "measured",
    }
    return _campaign_command("top_up", CAMPAIGN, data)


def _campaign_command(verb: str, campaign_id: str, data: dict[str, Any]) -> Record:
    envelope = {
        "specversion": "1.0",
        "id": verb,
        "source": "benchmark",
        "type": f"campaign.{verb}",
        "time": COMMAND_TIME,
        "data": data,
    }
    return campaign_id.encode(), orjson.dumps(envelope)


def claim(command_id: str, number: int, campaign_id: str = CAMPAIGN) -> Record:
    """The claim of user `number`."""
    # Multiplied by a number prime to 10^9: users come in no order, as they do, and the index on them feels it.
    user_id = f"u{number * 387_420_489 % 1_000_000_000:09d}"
    return command(
        "voucher.claim",
        command_id,
        user_id,
        {"campaign_id": campaign_id, "city_tier": 1 + number % 6, "channel": "app"},
    )


def campaign_ids(campaigns: int) -> list[str]:
    """So many campaigns; one alone is CAMPAIGN."""
    return [CAMPAIGN] if campaigns == 1 else [f"{CAMPAIGN}-{number:03d}" for number in range(campaigns)]


def claims(count: int, campaigns: int = 1) -> Iterator[Record]:
    """Claims of `count` users, one each, of so many campaigns in turn."""
    ids = campaign_ids(campaigns)
    return (claim(f"c-{number}", number, ids[number % campaigns]) for number in range(count))


def orders(connection: psycopg.Connection) -> Iterator[Record]:
    """An order of each granted voucher's owner."""
    rows = connection.execute("SELECT voucher_id, user_id FROM books.voucher WHERE state = 'granted'")
    for number, (voucher_id, user_id) in enumerate(rows):
        data = {
            "order_id": f"o-{number}",
            "voucher_id": voucher_id,
            "merchant_id": f"m-{number % 1_000}",
            "category": "tea",
            "city_tier": 3,
            "amount_minor": ORDER_MINOR,
        }
        yield command("order.reserve", f"r-{number}", user_id, data)


def payments(connection: psycopg.Connection) -> Iterator[Record]:
    """The payment of each order that holds its voucher."""
    rows = connection.execute(
        "SELECT order_id, user_id, amount_minor - discount_minor FROM books.reservation WHERE state = 'held'"
    )
    for number, (order_id, user_id, due_minor) in enumerate(rows):
        data = {"payment_id": f"p-{number}", "order_id": order_id, "paid_minor": due_minor}
        yield command("payment.settle", f"s-{number}", user_id, data)


def preload(settings: Settings, topic: str, records: Iterable[Record]) -> int:
    """Produce all records and wait until the broker has them; how many.

    Raises KafkaException where one was refused, TimeoutError where the broker does not take them.
    """
    producer = Producer(kafka.producer_config(settings, linger_ms=20))
    refused: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refused.append(error)

    count = 0
    for key, value in records:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(BUFFER_WAIT_SECONDS)
        count += 1
    waiting = producer.flush(FLUSH_SECONDS_MAX)
    if refused:
        raise KafkaException(refused[0])
    if waiting:
        raise TimeoutError(f"{waiting} of {count} records for {topic} were not taken within {FLUSH_SECONDS_MAX} s")
    return count
