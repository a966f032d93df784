"""The commands that the documents give to be pasted: each is one that a processor takes."""

import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import confluent_kafka.admin
import orjson
import pytest
import yaml
from confluent_kafka import KafkaError, KafkaException

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.monitor.faust_app import APP_ID

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


GROUP_AND_CHANGELOG = [APP_ID, f"{APP_ID}-buckets-changelog"]


@pytest.mark.parametrize(
    ("trouble", "deletes"),
    [
        (None, GROUP_AND_CHANGELOG),
        (KafkaError.GROUP_ID_NOT_FOUND, GROUP_AND_CHANGELOG),
        # Without its changelog a monitor that runs would lose its counts, and read none of them again.
        (KafkaError.NON_EMPTY_GROUP, GROUP_AND_CHANGELOG[:1]),
    ],
)
def test_the_lines_that_let_the_monitor_count_again_delete_what_it_keeps(
    trouble: int | None, deletes: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Embedded or in a container, Kafka's own tools are not at hand."""
    error = None if trouble is None else KafkaException(KafkaError(trouble))
    deleted: list[str] = []

    class Admin:
        def __init__(self, config: dict[str, Any]) -> None:
            assert config["bootstrap.servers"] == "127.0.0.1:1"

        def delete_consumer_groups(self, names: list[str]) -> dict[str, Any]:
            deleted.extend(names)
            return {name: SimpleNamespace(exception=lambda: error) for name in names}

        def delete_topics(self, names: list[str]) -> dict[str, Any]:
            deleted.extend(names)
            return {name: SimpleNamespace(exception=lambda: None) for name in names}

    monkeypatch.setattr(confluent_kafka.admin, "AdminClient", Admin)
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")
    section = (ROOT / "docs/RUNBOOKS.md").read_text(encoding="utf-8").partition("## Demand differs from ledger")[2]
    (program,) = re.findall(r"<<'END'\n(.*?)^END$", section.partition("\n## ")[0], flags=re.MULTILINE | re.DOTALL)
    exec(program, {})
    assert deleted == deletes
    assert capsys.readouterr().out.splitlines()[0] == f"{APP_ID} {error or 'is deleted'}"


def test_the_line_that_silences_a_campaign_silences_its_alerts_alone() -> None:
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not installed (Debian: apt-get install prometheus-alertmanager)")
    (line,) = re.findall(r"^amtool .*silence add.*$", (ROOT / "docs/RUNBOOKS.md").read_text(), flags=re.MULTILINE)
    asked: list[dict[str, Any]] = []

    class Alertmanager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(orjson.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"silenceID": "1"}')

        def log_message(self, *_arguments: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Alertmanager) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = line.replace("http://127.0.0.1:9093", f"http://127.0.0.1:{server.server_port}")
        subprocess.run(here, shell=True, check=True, capture_output=True, timeout=60)
        server.shutdown()
    matchers = {one["name"]: one["value"] for one in asked[0]["matchers"]}
    assert matchers["campaign"] == "spring"
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules/alerts.yml").read_text(encoding="utf-8"))["groups"]
    named = {rule["alert"] for group in groups for rule in group["rules"]}
    assert set(matchers["alertname"].split("|")) <= named
