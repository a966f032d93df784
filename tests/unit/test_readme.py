"""README and docs name only what exists: commands, options, make targets, settings, exit codes, links and tests."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from voucher_ledger.cli import app
from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.dev.postgres_home import ACCOUNTS, SHARED_HOME
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md", "docs/ARCHITECTURE.md", "docs/OPERATIONS.md", "docs/OPERATIONS-DEAD-LETTERS.md", "docs/SEMANTICS.md",
)  # fmt: skip
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNNABLE = {"campaigns", "claims", "orders", "payments", "sweeper", "monitor", "all"}


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def invocations(text: str, program: str) -> list[list[str]]:
    """The words of each call of `program`: up to the end of its code span, its line, or a comment."""
    calls = re.findall(rf"(?:`|^    |: |; ){program} ([^`#\n<|;]*)", text, flags=re.MULTILINE)
    return [call.split() for call in calls]


def faults_of(words: list[str], command: Any) -> list[str]:
    """What in these words the command line does not know."""
    faults: list[str] = []
    for word in (word.rstrip(".,:") for word in words):
        options = {"--help", *(option for parameter in command.params for option in parameter.opts)}
        if word.startswith("--"):
            faults += [] if word in options else [f"{command.name} has no {word}"]
        elif hasattr(command, "commands"):  # a group
            if word not in command.commands:
                return [f"no command {word}"]
            command = command.commands[word]
        elif command.name == "run" and word not in RUNNABLE and not word.isdigit():
            faults.append(f"run has no {word}")
    return faults


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_command_named_exists(document: str) -> None:
    program = typer.main.get_command(app)
    calls = invocations(text_of(document), "voucher-ledger")
    assert [faults_of(words, program) for words in calls] == [[] for _ in calls]


def test_the_search_finds_what_is_wrong() -> None:
    program = typer.main.get_command(app)
    calls = invocations(
        "`voucher-ledger steal` or\n    voucher-ledger dev sideways  # x\n`voucher-ledger audit --fast`",
        "voucher-ledger",
    )
    faults = [faults_of(words, program) for words in calls]
    assert faults == [["no command steal"], ["no command sideways"], ["audit has no --fast"]]


def test_each_command_is_in_the_table() -> None:
    program: Any = typer.main.get_command(app)
    named = {words[0] for words in invocations(README, "voucher-ledger")}
    assert named >= set(program.commands)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_make_target_named_exists(document: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {words[0] for words in invocations(text_of(document), "make")}
    assert named <= targets


def test_the_readme_begins_with_its_two_commands() -> None:
    assert [words[0] for words in invocations(README, "make")[:2]] == ["demo", "test"]


def test_each_setting_is_in_the_table_with_its_default() -> None:
    rows = dict(re.findall(rf"^\| `{PREFIX}(\w+?)` \| (.*?) \|", README, flags=re.MULTILINE))
    defaults = {
        name.upper(): "(needed)" if field.is_required() else str(field.default)
        for name, field in Settings.model_fields.items()
        if name != "kafka_properties"
    }
    assert {name: value for name, value in rows.items() if name != "CACHE"} == defaults


def test_the_readme_says_where_roots_data_lies() -> None:
    assert f"`{SHARED_HOME}`" in README
    assert all(f"`{account}`" in README for account in ACCOUNTS)


def test_each_view_is_in_the_list() -> None:
    migrations = (path.read_text(encoding="utf-8") for path in (ROOT / "schemas" / "postgres").glob("*.sql"))
    views = r"^CREATE (?:OR REPLACE )?VIEW ledger\.(\w+)"
    made = {name for text in migrations for name in re.findall(views, text, re.MULTILINE)}
    listed = re.search(r"^Views in schema `ledger`, for the role `\w+`: (.*?)\.$", README, re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == made


def test_each_exit_code_is_in_the_table() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)}
    assert codes - {130, 141, 143} == {int(code) for code in ExitCode}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_link_leads_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", text_of(document))
    assert [target for target in targets if not ((ROOT / document).parent / target).exists()] == []


def test_each_test_named_exists() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", text_of("docs/ARCHITECTURE.md")))
    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_the_commands_shown_can_be_decided() -> None:
    shown = re.findall(r"^```json\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in shown for line in block.splitlines()]
    # Each in a file of its own: rooms wait for nobody, and a claim sent beside its campaign's opening is refused.
    assert [len(block.splitlines()) for block in shown] == [1, 1]
    for line in lines:
        topic = next(
            topic for topic, types in COMMANDS_BY_TOPIC.items() if any(f'"type":"{type_}"' in line for type_ in types)
        )
        owner = re.search(rf'"{KEY_FIELD_BY_COMMAND_TOPIC[topic]}":"(\w+)"', line)
        assert owner is not None
        CommandDecoder(topic).decode(line.encode(), owner[1].encode())
