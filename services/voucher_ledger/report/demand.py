"""The demand of one campaign, folded from what `ledger.demand` still holds."""

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from voucher_ledger.core.demand import DEMAND_TOPIC
from voucher_ledger.monitor.buckets import Level
from voucher_ledger.monitor.demand import MalformedDemand, decode
from voucher_ledger.monitor.store import Kept, Store
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, consumer_config
from voucher_ledger.runtime.settings import Settings

# A week of minutes and quarters, as long as the topic keeps rollups.
_BOUNDS: Mapping[Level, int] = {"minute": 10_080, "quarter": 672, "total": 1}
SILENCE_SECONDS_MAX = 30.0


def read_demand(settings: Settings, campaign_id: str) -> Kept | None:
    """The campaign's buckets, from the topic's first record to the last that is there now; None without any.

    Raises Unreachable where Kafka does not answer, or gives nothing for SILENCE_SECONDS_MAX.
    """
    config = consumer_config(settings, "voucher-ledger-report", auto_offset_reset="earliest")
    consumer = Consumer(config)
    store = Store(_BOUNDS)
    try:
        partitions = consumer.list_topics(DEMAND_TOPIC, timeout=REQUEST_SECONDS_MAX).topics[DEMAND_TOPIC].partitions
        places = [TopicPartition(DEMAND_TOPIC, number) for number in partitions]
        bounds = {
            place.partition: consumer.get_watermark_offsets(place, timeout=REQUEST_SECONDS_MAX) for place in places
        }
        consumer.assign([TopicPartition(DEMAND_TOPIC, number, bounds[number][0]) for number in bounds])
        _fold(
            consumer,
            places,
            {number: end for number, (start, end) in bounds.items() if start < end},
            store,
            campaign_id,
        )
    except KafkaException as error:
        raise Unreachable(f"Kafka at {settings.kafka}: {DEMAND_TOPIC}: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return store.campaigns(bounds).get(campaign_id)


def _fold(
    consumer: Consumer, places: list[TopicPartition], ends: dict[int, int], store: Store, campaign_id: str
) -> None:
    deadline = time.monotonic() + SILENCE_SECONDS_MAX
    key = campaign_id.encode()
    while any(place.offset < ends.get(place.partition, place.offset) for place in consumer.position(places)):
        if time.monotonic() > deadline:
            raise Unreachable(f"{DEMAND_TOPIC} gave nothing for {SILENCE_SECONDS_MAX:.0f} s")
        for record in consumer.consume(5_000, 0.2):
            error = record.error()
            if error is not None:
                raise KafkaException(error)
            deadline = time.monotonic() + SILENCE_SECONDS_MAX
            if record.key() != key:
                continue
            try:
                store.count(record.partition() or 0, decode(record.value()))
            except MalformedDemand:
                store.counted.malformed += 1
