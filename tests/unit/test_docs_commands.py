"""The commands that the documents give to be pasted: each is one that a processor takes."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.core.validation import CommandDecoder

ROOT = Path(__file__).resolve().parents[2]
CHANGES = {"campaign.pause", "campaign.resume", "campaign.top_up", "campaign.close"}
TOPIC_BY_TYPE = {type_: topic for topic, types in COMMANDS_BY_TOPIC.items() for type_ in types}


def command_lines(name: str) -> list[bytes]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line.encode() for line in text.splitlines() if line.startswith('{"specversion"')]


def decoded(line: bytes) -> dict[str, Any]:
    command: dict[str, Any] = orjson.loads(line)
    topic = TOPIC_BY_TYPE[command["type"]]
    CommandDecoder(topic).decode(line, command["data"][KEY_FIELD_BY_COMMAND_TOPIC[topic]].encode())
    return command


@pytest.mark.parametrize("name", ["docs/RUNBOOKS.md", "docs/OPERATIONS.md"])
def test_each_change_of_a_campaign_is_given_as_a_line_to_paste(name: str) -> None:
    """At midnight an envelope is not made up from a schema."""
    commands = [decoded(line) for line in command_lines(name)]
    assert {command["type"] for command in commands} == CHANGES
    assert len({command["id"] for command in commands}) == len(commands)
    assert "--await" in (ROOT / name).read_text(encoding="utf-8")


def test_the_lines_of_the_readme_are_commands() -> None:
    lines = command_lines("README.md")
    assert lines
    for line in lines:
        decoded(line)


def test_the_runbook_of_the_waiting_room_names_the_views_that_tell_who_waits() -> None:
    runbook = (ROOT / "docs/RUNBOOKS.md").read_text(encoding="utf-8").partition("## Waiting room too old")[2]
    section = runbook.partition("\n## ")[0]
    assert "FROM ledger.waiting_line " in section
    assert "FROM ledger.waiting " in section
