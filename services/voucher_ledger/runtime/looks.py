"""What a session rests on, and nobody tells of its end: looked at now and then, also where no record comes."""

import time
from collections.abc import Callable
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, TopicDescription

from voucher_ledger.runtime.errors import Inconsistent, SessionLost, made_anew
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, admin_config
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.topics import Topic

# An idle processor would notice by its next command alone that Postgres was restarted, or is another: its name would be
# free for others, and whoever shares its room would go on by a ledger that lacks what it has decided.
NAME_SECONDS = 5.0
# A topic that was made anew under a reader gives it nothing more to read, and no error.
TOPIC_SECONDS = 30.0


class Looks:
    """The looks of one session. `hold` asks whether the name is still held; the topic's id is asked for without a wait,
    and judged at a later turn.
    """

    def __init__(self, settings: Settings, topic: Topic, hold: Callable[[], None]) -> None:
        self._topic = topic
        self._hold = hold
        self._admin = AdminClient(admin_config(settings))
        self._name_due_seconds = time.monotonic() + NAME_SECONDS
        self._topic_due_seconds = time.monotonic()
        self._asked: Future[TopicDescription] | None = None

    def turned(self) -> None:
        """Look at what is due.

        Raises psycopg.Error where the name's connection is gone, SessionLost where the topic is, Inconsistent where it
        was made anew.
        """
        now = time.monotonic()
        if now >= self._name_due_seconds:
            self._hold()
            self._name_due_seconds = now + NAME_SECONDS
        if self._asked is not None:
            if self._asked.done():
                asked, self._asked = self._asked, None
                self._judge(asked)
        elif now >= self._topic_due_seconds:
            topics = TopicCollection([self._topic.name])
            self._asked = self._admin.describe_topics(topics, request_timeout=REQUEST_SECONDS_MAX)[self._topic.name]
            self._topic_due_seconds = now + TOPIC_SECONDS

    def _judge(self, asked: Future[TopicDescription]) -> None:
        try:
            topic_id = str(asked.result().topic_id)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise SessionLost(f"Kafka has no topic {self._topic.name} any more") from error
            return  # Kafka is away: whoever reads and publishes has to do with that
        if topic_id != self._topic.topic_id:
            raise Inconsistent(made_anew(self._topic.name, topic_id, self._topic.topic_id))
