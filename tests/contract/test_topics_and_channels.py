"""topics.toml and asyncapi.yaml name exactly the topics and types of the contract, and agree with each other."""

import tomllib
from typing import Any

import orjson
import yaml

from voucher_ledger.core import messages
from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.runtime.outbox import DEAD_LETTER_HEADERS

MESSAGES_BY_TOPIC: dict[str, set[str]] = {
    **{str(topic): {str(type_) for type_ in by} for topic, by in messages.COMMANDS_BY_TOPIC.items()},
    **{str(topic): {str(type_) for type_ in by} for topic, by in messages.EVENTS_BY_TOPIC.items()},
    "ledger.dead-letters": {"dead-letter"},
    "ledger.dead-letter-marks": set(),
    "ledger.demand": {"demand-rollup"},
    "ledger.alerts": {"alert.firing", "alert.resolved"},
}


def topics() -> dict[str, Any]:
    return tomllib.loads((schema_root() / "topics.toml").read_text())


def config_of(topic: str) -> dict[str, str]:
    document = topics()
    config: dict[str, str] = {**document["defaults"]["config"], **document["topics"][topic]["config"]}
    return config


def asyncapi() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((schema_root() / "asyncapi.yaml").read_text())
    return document


def pointed_at(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_topics_are_those_of_the_contract() -> None:
    assert set(topics()["topics"]) == set(MESSAGES_BY_TOPIC)


def test_an_event_topic_has_the_partitions_of_its_command_topic() -> None:
    declared = topics()["topics"]
    for command_topic, event_topic in messages.EVENT_TOPIC_BY_COMMAND_TOPIC.items():
        assert declared[event_topic]["partitions"] == declared[command_topic]["partitions"]


def test_no_producer_can_back_date_a_command() -> None:
    for topic in MESSAGES_BY_TOPIC:
        expected = "LogAppendTime" if topic in messages.COMMANDS_BY_TOPIC else "CreateTime"
        assert config_of(topic)["message.timestamp.type"] == expected


def test_commands_events_and_dead_letters_are_kept() -> None:
    for topic in set(MESSAGES_BY_TOPIC) - {"ledger.demand", "ledger.alerts"}:
        assert config_of(topic)["retention.ms"] == "-1"
        assert config_of(topic)["cleanup.policy"] == "delete"


def test_the_largest_command_fits_into_a_dead_letter() -> None:
    dead_letter_bytes_max = int(config_of("ledger.dead-letters")["max.message.bytes"])
    assert int(config_of("claim.commands")["max.message.bytes"]) < dead_letter_bytes_max


def test_config_values_are_strings_as_kafka_takes_them() -> None:
    assert all(isinstance(value, str) for topic in MESSAGES_BY_TOPIC for value in config_of(topic).values())


def test_channels_cover_exactly_the_topics_and_types() -> None:
    document = asyncapi()
    assert document["asyncapi"].startswith("3.0")
    covered = {
        channel["address"]: {
            pointed_at(document, message["$ref"])["name"] for message in channel.get("messages", {}).values()
        }
        for channel in document["channels"].values()
    }
    assert covered == MESSAGES_BY_TOPIC
    used = sum(len(types) for types in covered.values())
    assert used == len(document["components"]["messages"])


def test_channels_have_the_partitions_of_the_topics() -> None:
    for channel in asyncapi()["channels"].values():
        partitions = topics()["topics"][channel["address"]]["partitions"]
        assert channel["bindings"]["kafka"]["partitions"] == partitions


def test_each_message_refers_to_the_schema_of_its_name() -> None:
    for message in asyncapi()["components"]["messages"].values():
        if message["name"] == "dead-letter":
            assert tuple(message["headers"]["required"]) == DEAD_LETTER_HEADERS
            continue
        path = schema_root() / message["payload"]["$ref"]
        schema = orjson.loads(path.read_bytes())
        assert schema["title"] == message["title"]
        if message["name"] != "demand-rollup":  # a rollup is of no single type, and no CloudEvent
            assert schema["properties"]["type"]["const"] == message["name"]


def test_each_topic_has_an_operation_and_each_command_topic_its_reply() -> None:
    document = asyncapi()
    operations = list(document["operations"].values())
    used = {pointed_at(document, operation["channel"]["$ref"])["address"] for operation in operations}
    assert used == set(MESSAGES_BY_TOPIC)
    replies = {
        pointed_at(document, operation["channel"]["$ref"])["address"]: pointed_at(
            document, operation["reply"]["channel"]["$ref"]
        )["address"]
        for operation in operations
        if "reply" in operation
    }
    assert replies == messages.EVENT_TOPIC_BY_COMMAND_TOPIC
