"""What a Kafka client complains of. librdkafka tells a broker that is gone some twenty times a second, and an exception
of its says `Broker transport failure`, but not why: a log needs it once, and an error needs the reason.
"""

import math
import time

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

TOLD_AGAIN_SECONDS = 30.0

log = structlog.get_logger()


class Troubles:
    """A client's `error_cb`. Where no broker answers it is logged, and again every TOLD_AGAIN_SECONDS while that lasts;
    `last` is the text of the latest trouble, empty where there was none.
    """

    def __init__(self, instance: str | None = None) -> None:
        """Log under `instance`; without one nothing is logged (a tool tells its errors itself)."""
        self.last = ""
        self._instance = instance
        self._none_answers = False
        self._quiet_until = -math.inf

    def __call__(self, error: KafkaError) -> None:
        """Take what librdkafka tells."""
        if self._instance is not None:
            log.debug("kafka client", instance=self._instance, cause=error.str())
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._none_answers = True  # it says only how many: the next one, a moment later, says why
            return
        self.last = error.str()
        now = time.monotonic()
        if self._instance is not None and self._none_answers and now >= self._quiet_until:
            log.warning("Kafka does not answer, trying again", instance=self._instance, cause=self.last)
            self._quiet_until = now + TOLD_AGAIN_SECONDS
        self._none_answers = False

    def explain(self, client: AdminClient | Consumer | Producer, error: KafkaException) -> str:
        """The text of a request's error, and the latest trouble of its client, which it is fetched from."""
        client.poll(0)
        return f"{error.args[0].str()} ({self.last})" if self.last else str(error.args[0].str())
