"""A wrong setting is told by name and ends any command with exit code 2, before a server is spoken to."""

import psycopg
import pytest

from voucher_ledger import cli
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import kafka, settings

SOUND = {"VOUCHER_LEDGER_KAFKA": "127.0.0.1:1", "VOUCHER_LEDGER_POSTGRES": "host=127.0.0.1 port=1"}
WRONG = {
    "VOUCHER_LEDGER_KAFKA": ("", "VOUCHER_LEDGER_KAFKA:"),
    "VOUCHER_LEDGER_POSTGRES": ("no dsn", "VOUCHER_LEDGER_POSTGRES is no connection string"),
    "VOUCHER_LEDGER_BATCH_RECORDS_MAX": ("0", "VOUCHER_LEDGER_BATCH_RECORDS_MAX:"),
    "VOUCHER_LEDGER_KAFKA_NO_SUCH_THING": ("1", "no.such.thing"),
    "VOUCHER_LEDGER_KAFKA_SECURITY_PROTOCOL": ("bogus", "security.protocol"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("arguments", [["migrate"], ["topics"], ["run", "claims"], ["run", "all"], ["audit"]])
def test_a_wrong_setting_is_told_by_name(
    name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    value, told = WRONG[name]
    for variable, held in {**SOUND, name: value}.items():
        monkeypatch.setenv(variable, held)
    assert cli.main(arguments) == ExitCode.USAGE
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "a\tb", "x" * 129])
def test_an_instance_name_that_is_none_to_kafka_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, held in SOUND.items():
        monkeypatch.setenv(variable, held)
    assert cli.main(["run", "claims", "--instance", name]) == ExitCode.USAGE


def test_kafka_properties_are_librdkafkas() -> None:
    loaded = settings.load({**SOUND, "VOUCHER_LEDGER_KAFKA_SECURITY_PROTOCOL": "ssl"})
    assert loaded.kafka_properties == {"security.protocol": "ssl"}
    loud = settings.load({**SOUND, "VOUCHER_LEDGER_KAFKA_LOG_LEVEL": "6"})
    assert kafka.consumer_config(loaded, "group")["log_level"] == 2
    assert kafka.consumer_config(loud, "group")["log_level"] == "6"


def test_an_operators_properties_go_before_defaults_but_not_before_guarantees() -> None:
    given = {"COMPRESSION_TYPE": "zstd", "LINGER_MS": "50", "FETCH_WAIT_MAX_MS": "7"}
    fixed = {"ISOLATION_LEVEL": "read_uncommitted", "ENABLE_IDEMPOTENCE": "false", "GROUP_ID": "another"}
    loaded = settings.load({**SOUND, **{f"{settings.KAFKA_PREFIX}{name}": v for name, v in {**given, **fixed}.items()}})
    producer = kafka.transactional_config(loaded, "claims-0", print)
    consumer = kafka.consumer_config(loaded, "group", "claims-0")
    assert (producer["compression.type"], producer["linger.ms"], consumer["fetch.wait.max.ms"]) == ("zstd", "50", "7")
    assert (producer["enable.idempotence"], consumer["isolation.level"]) == (True, "read_committed")
    assert consumer["group.id"] == "group"


def test_a_table_that_the_database_lacks_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_arguments: object) -> None:
        raise psycopg.errors.UndefinedTable('relation "books.position" does not exist\nLINE 1: SELECT')

    for variable, held in SOUND.items():
        monkeypatch.setenv(variable, held)
    monkeypatch.setattr("voucher_ledger.run.single.run", run)
    assert cli.main(["run", "claims"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert 'relation "books.position" does not exist' in told
    assert "voucher-ledger migrate" in told
