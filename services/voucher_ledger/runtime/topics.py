"""The topics of schemas/topics.toml: made where they are missing, their ids and sizes read."""

import time
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, NewTopic, ResourceType

from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.runtime.errors import NotSetUp, Unreachable
from voucher_ledger.runtime.kafka import ANSWER_SECONDS_MAX, REQUEST_SECONDS_MAX, admin_config
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.troubles import Troubles

# Brokers learn of topics a moment after the controller has made them.
_NEW_TOPIC_SECONDS_MAX = 3.0
_LOOK_AGAIN_SECONDS = 0.1
# Of what was typed, and a name that may have been meant: a letter or two are other ones.
_NEAR_RATIO = 0.8


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is on the cluster: its id tells one that was made anew under the same name."""

    name: str
    topic_id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A topic on the cluster that is not as topics.toml wants it."""

    topic: str
    what: str
    wanted: str
    found: str


def wanted_topics() -> dict[str, dict[str, object]]:
    """The topics of topics.toml with their defaults filled in: `partitions`, `replication`, `min_insync_replicas`,
    `config`.
    """
    document = tomllib.loads((schema_root() / "topics.toml").read_text())
    defaults = document["defaults"]
    return {
        name: {**defaults, **topic, "config": {**defaults["config"], **topic.get("config", {})}}
        for name, topic in document["topics"].items()
    }


def without_topics(kafka: str, names: Iterable[str], known: Iterable[str] = ()) -> NotSetUp:
    """The error where Kafka (at `kafka`), which knows the topics `known`, has none of these names."""
    ours, missing = set(wanted_topics()), list(names)
    strange = [name for name in missing if name not in ours]
    if not strange:
        return NotSetUp(f"Kafka at {kafka} has no topic {', '.join(missing)}: run `voucher-ledger topics` first")
    near = get_close_matches(strange[0], sorted({*known, *ours}), 1, _NEAR_RATIO)
    hint = f"did you mean {near[0]}?" if near else "none of that name is made by `voucher-ledger topics`"
    return NotSetUp(f"Kafka at {kafka}: there is no topic {', '.join(strange)}: {hint}")


def ensure_topics(settings: Settings, *, record_time: str | None = None) -> tuple[list[str], list[Difference]]:
    """Make the topics that are missing: their names, and how those that were there differ from what is wanted.

    `record_time` (`LogAppendTime` or `CreateTime`) is set for command topics made now, instead of their own.
    Raises Unreachable where Kafka does not answer or refuses.
    """
    troubles = Troubles()
    admin = AdminClient(admin_config(settings, error_cb=troubles))
    metadata = _metadata(admin, settings, troubles)
    brokers = len(metadata.brokers)
    made: list[NewTopic] = []
    differences: list[Difference] = []
    there: dict[str, dict[str, str]] = {}
    for name, topic in wanted_topics().items():
        partitions = int(str(topic["partitions"]))
        config = dict(topic["config"])  # type: ignore[call-overload]
        if record_time is not None and name.endswith(".commands"):
            config["message.timestamp.type"] = record_time
        if name in metadata.topics:
            found = len(metadata.topics[name].partitions)
            if found != partitions:
                differences.append(Difference(name, "partitions", str(partitions), str(found)))
            there[name] = config
            continue
        replication = min(int(str(topic["replication"])), brokers)
        in_sync = max(1, min(int(str(topic["min_insync_replicas"])), replication - 1))
        made.append(NewTopic(name, partitions, replication, config={**config, "min.insync.replicas": str(in_sync)}))
    if made:
        for name, future in admin.create_topics(made, operation_timeout=REQUEST_SECONDS_MAX).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another caller was first
                    text = f"Kafka at {settings.kafka} did not make {name}: {error.args[0].str()}"
                    raise Unreachable(text) from error
        _wait_known(admin, settings, troubles, [topic.topic for topic in made])
    return [topic.topic for topic in made], [*differences, *_config_differences(admin, settings, there)]


def _config_differences(
    admin: AdminClient, settings: Settings, wanted: dict[str, dict[str, str]]
) -> Iterator[Difference]:
    """A command topic that takes its producers' clocks, say, lets them back-date a claim."""
    if not wanted:
        return
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
    for resource, future in admin.describe_configs(resources, request_timeout=REQUEST_SECONDS_MAX).items():
        try:
            found = future.result()
        except KafkaException as error:
            text = f"Kafka at {settings.kafka} does not tell the configuration of {resource.name}"
            raise Unreachable(f"{text}: {error.args[0].str()}") from error
        for name, value in wanted[resource.name].items():
            if found[name].value != value:
                yield Difference(resource.name, name, value, found[name].value)


def _wait_known(admin: AdminClient, settings: Settings, troubles: Troubles, names: list[str]) -> None:
    """Brokers learn of topics a moment after the controller has made them: wait until they answer for all."""
    deadline = time.monotonic() + REQUEST_SECONDS_MAX
    while True:
        known = _metadata(admin, settings, troubles).topics
        missing = [
            name
            for name in names
            if name not in known
            or known[name].error is not None
            or any(partition.leader < 0 for partition in known[name].partitions.values())
        ]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise Unreachable(f"Kafka at {settings.kafka} made topics {missing}, but has no leaders for them")
        time.sleep(_LOOK_AGAIN_SECONDS)


def describe(settings: Settings, name: str) -> Topic:
    """The topic as it is on the cluster.

    Raises Unreachable where Kafka does not answer, NotSetUp where it has no such topic.
    """
    troubles = Troubles()
    admin = AdminClient(admin_config(settings, error_cb=troubles))
    deadline = time.monotonic() + _NEW_TOPIC_SECONDS_MAX
    while True:
        try:
            answer = admin.describe_topics(TopicCollection([name]), request_timeout=REQUEST_SECONDS_MAX)[name]
            found = answer.result(ANSWER_SECONDS_MAX)
            return Topic(name, str(found.topic_id), len(found.partitions))
        except TimeoutError as error:
            raise Unreachable(f"Kafka at {settings.kafka}: topic {name}: no answer") from error
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                text = f"Kafka at {settings.kafka}: topic {name}: {troubles.explain(admin, error)}"
                raise Unreachable(text) from error
            if time.monotonic() > deadline:
                raise without_topics(settings.kafka, [name]) from error
        time.sleep(_LOOK_AGAIN_SECONDS)


def _metadata(admin: AdminClient, settings: Settings, troubles: Troubles) -> ClusterMetadata:
    try:
        return admin.list_topics(timeout=REQUEST_SECONDS_MAX)
    except KafkaException as error:
        raise Unreachable(f"Kafka at {settings.kafka} does not answer: {troubles.explain(admin, error)}") from error
