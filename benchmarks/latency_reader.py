"""The reader of the latency measurement, a process of its own: reads events as any consumer would, and times them.

Prints READY once it reads, and one JSON object when it has seen `--count` events; exit code 1 when they do not come.
"""

import argparse
import statistics
import sys
import time

import orjson
from confluent_kafka import Consumer, KafkaException, TopicPartition

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.runtime import kafka, settings

SILENCE_SECONDS_MAX = 20.0
TOPIC = "claim.events"


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    count: int = parser.parse_args().count
    # fetch.wait.max.ms is how long the broker may wait for more: it answers at once when there is anything.
    consumer = Consumer(kafka.consumer_config(settings.load(), "latency-reader", fetch_error_backoff_ms=5))
    numbers = consumer.list_topics(TOPIC, timeout=kafka.REQUEST_SECONDS_MAX).topics[TOPIC].partitions
    consumer.assign([TopicPartition(TOPIC, number, 0) for number in numbers])
    print("READY", flush=True)
    latencies_ns: list[int] = []
    stages_ms: dict[str, list[float]] = {"to_topic": [], "to_decision": [], "to_reader": []}
    clock_ns = time.time_ns() - time.monotonic_ns()
    seen = 0
    heard_at = time.monotonic()
    while seen < count:
        records = consumer.consume(1, 0.1)
        if not records:
            if time.monotonic() - heard_at > SILENCE_SECONDS_MAX:
                print(f"only {seen} of {count} events came", file=sys.stderr)
                return 1
            continue
        records += consumer.consume(1_000, 0)
        now_ns = time.monotonic_ns()
        heard_at = now_ns / 1e9
        for record in records:
            error = record.error()
            if error is not None:
                raise KafkaException(error)
            event = orjson.loads(record.value() or b"")
            kind, _, sent_ns = event["data"]["command_id"].split("-")
            if kind == "timed":
                latencies_ns.append(now_ns - int(sent_ns))
                # The broker's clock when it took the claim, and the ledger's when it handed over the event.
                taken_ms, decided_ms = milliseconds(event["time"]), record.timestamp()[1]
                stages_ms["to_topic"].append(taken_ms - (int(sent_ns) + clock_ns) / 1e6)
                stages_ms["to_decision"].append(decided_ms - taken_ms)
                stages_ms["to_reader"].append((now_ns + clock_ns) / 1e6 - decided_ms)
        seen += len(records)
    consumer.close()
    latencies_ns.sort()
    told = {
        "claims": len(latencies_ns),
        "milliseconds": _quantiles(latencies_ns),
        "stage_median_milliseconds": {name: statistics.median(found) for name, found in stages_ms.items()},
    }
    print(orjson.dumps(told).decode())
    return 0


def _quantiles(sorted_ns: list[int]) -> dict[str, float]:
    """Median, 99th and 99.9th percentile and maximum, in milliseconds."""
    last = len(sorted_ns) - 1
    places = {"median": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: sorted_ns[round(last * place)] / 1e6 for name, place in places.items()}


if __name__ == "__main__":
    sys.exit(main())
