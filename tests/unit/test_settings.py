"""A wrong setting is told by name and ends any command with exit code 2, before a server is spoken to."""

import os
import re
from pathlib import Path

import orjson
import psycopg
import pytest
from confluent_kafka import Consumer, KafkaError, Producer

from voucher_ledger import cli
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import kafka, processor, settings

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.mark.parametrize(
    "address", ["127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:99999", "127.0.0.1:", "8081", "a b:1"]
)
@pytest.mark.parametrize("process", ["monitor", "all"])
def test_an_address_without_a_port_that_can_be_found_is_refused_at_once(
    address: str, process: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, held in {**SOUND, "VOUCHER_LEDGER_MONITOR_ADDRESS": address}.items():
        monkeypatch.setenv(variable, held)
    assert cli.main(["run", process]) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "VOUCHER_LEDGER_MONITOR_ADDRESS: " in line
    assert "a port from 1 to 65535" in line


@pytest.mark.parametrize("servers", ["a:99999", "a:9092,SASL_SSL://b:65536", "[::1]:0", "a:" + "9" * 5_000])
def test_a_brokers_port_that_cannot_be_is_refused(servers: str) -> None:
    with pytest.raises(settings.SettingsError, match=r"VOUCHER_LEDGER_KAFKA: .*a port is from 1 to 65535"):
        settings.load({**SOUND, "VOUCHER_LEDGER_KAFKA": servers})


@pytest.mark.parametrize("servers", ["a", "a:1, b:65535", "SSL://a", "[::1]:9092", "::1"])
def test_a_broker_with_a_port_or_without_is_taken(servers: str) -> None:
    assert settings.load({**SOUND, "VOUCHER_LEDGER_KAFKA": servers}).kafka == servers


@pytest.mark.parametrize("name", ["FETCH_QUEUE_KIB", "SESSION_TIMEOUT_MS", "TRANSACTION_TIMEOUT_MS", "ATTEMPTS_MAX"])
def test_what_kafkas_client_would_refuse_is_refused_by_name_and_nothing_else(name: str) -> None:
    (bound,) = (found.le for found in settings.Settings.model_fields[name.lower()].metadata if hasattr(found, "le"))
    greatest = settings.load({**SOUND, f"{settings.PREFIX}{name}": str(bound)})
    Consumer(kafka.consumer_config(greatest, "group", "claims-0")).close()
    Producer(kafka.transactional_config(greatest, "claims-0", print))
    with pytest.raises(settings.SettingsError, match=f"{settings.PREFIX}{name}: .*less than or equal to {bound}"):
        settings.load({**SOUND, f"{settings.PREFIX}{name}": str(bound + 1)})


def test_sasl_without_a_mechanism_says_which_setting_is_missing() -> None:
    """Left out it is GSSAPI, which the client's packages are built without: to recompile it is no advice."""
    with pytest.raises(settings.SettingsError, match="set VOUCHER_LEDGER_KAFKA_SASL_MECHANISM"):
        settings.load({**SOUND, "VOUCHER_LEDGER_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"})


def test_the_longest_wait_between_attempts_can_be_computed() -> None:
    (bound,) = (found.le for found in settings.Settings.model_fields["attempts_max"].metadata if hasattr(found, "le"))
    assert processor.BACKOFF_SECONDS * 2.0**bound > processor.BACKOFF_SECONDS_MAX


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::1]:8081", "monitor:65535"])
def test_an_address_with_a_port_is_taken(address: str) -> None:
    assert settings.load({**SOUND, "VOUCHER_LEDGER_MONITOR_ADDRESS": address}).monitor_address == address


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("VOUCHER_LEDGER_BATCH_RECORD_MAX", "VOUCHER_LEDGER_BATCH_RECORDS_MAX"),
        ("VOUCHER_LEDGER_POSTGRESQL", "VOUCHER_LEDGER_POSTGRES"),
        ("VOUCHER_LEDGER_CASH", "VOUCHER_LEDGER_CACHE"),
        ("VOUCHER_LEDGER_KAFAK_SECURITY_PROTOCOL", "VOUCHER_LEDGER_KAFKA_SECURITY_PROTOCOL"),
        ("voucher_ledger_poll_seconds", "VOUCHER_LEDGER_POLL_SECONDS"),
        ("VOUCHER_LEDGER_", "VOUCHER_LEDGER_"),
        ("VOUCHER_LEDGER_KAFKA_", "VOUCHER_LEDGER_KAFKA"),
    ],
)
@pytest.mark.parametrize("arguments", [["migrate"], ["run", "claims"], ["status"], ["demo"]])
def test_a_misspelt_name_is_told_with_the_nearest(
    name: str, nearest: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, held in {**SOUND, name: "1"}.items():
        monkeypatch.setenv(variable, held)
    assert cli.main(arguments) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name} is no setting: did you mean {nearest}" in line


OF_A_SERVICE = [
    *("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP", "PORT_9090_UDP"),
    *("PORT_8080_TCP_PROTO", "PORT_8080_TCP_PORT", "PORT_8080_TCP_ADDR"),
]


@pytest.mark.parametrize(
    "service", ["VOUCHER_LEDGER_", "VOUCHER_LEDGER_KAFKA_", "VOUCHER_LEDGER_CLAIMS_", "VOUCHER_LEDGER_METRICS_"]
)
@pytest.mark.parametrize("rest", OF_A_SERVICE)
def test_what_a_service_of_that_name_puts_into_every_pod_is_no_setting(service: str, rest: str) -> None:
    assert settings.load({**SOUND, service + rest: "tcp://10.0.0.1:8080"}) == settings.load(SOUND)


def test_a_port_for_metrics_is_a_setting_although_a_service_may_be_named_so() -> None:
    assert settings.load({**SOUND, "VOUCHER_LEDGER_METRICS_PORT": "9100"}).metrics_port == 9100
    with pytest.raises(settings.SettingsError, match="VOUCHER_LEDGER_METRICS_PORT"):
        settings.load({**SOUND, "VOUCHER_LEDGER_METRICS_PORT": "70000"})


@pytest.mark.parametrize("rest", ["SERVICE", "SERVICE_HOSTS", "PORTS", "PORT_HTTP", "IMPORT", "service_host"])
def test_what_only_looks_like_a_services_variable_is_refused(rest: str) -> None:
    with pytest.raises(settings.SettingsError, match=f"VOUCHER_LEDGER_{rest} is no setting"):
        settings.load({**SOUND, f"VOUCHER_LEDGER_{rest}": "1"})


def test_every_name_that_the_repository_uses_is_known() -> None:
    texts = [ROOT / name for name in ("README.md", ".env.example", "Makefile", "docker-compose.yml")]
    texts += (ROOT / "docs").glob("*.md")
    texts += [path for folder in ("services", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    named = {
        name for path in texts for name in re.findall(r"VOUCHER_LEDGER_\w*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    assert set(settings.known_names()) <= named
    settings.refuse_unknown_names(dict.fromkeys(named, ""))


def test_a_mapping_given_is_all_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOUCHER_LEDGER_POLL_SECONDS", "3")
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "elsewhere:1")
    assert settings.load(SOUND).poll_seconds == 0.2
    assert settings.Settings(kafka="a:1", postgres="host=a").poll_seconds == 0.2
    with pytest.raises(settings.SettingsError, match="VOUCHER_LEDGER_KAFKA: not set"):
        settings.load({"VOUCHER_LEDGER_POSTGRES": "host=a"})
    assert settings.load({**SOUND, **os.environ}).poll_seconds == 3


@pytest.mark.parametrize("name", ["", "a\tb", "x" * 129])
def test_an_instance_name_that_is_none_to_kafka_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, held in SOUND.items():
        monkeypatch.setenv(variable, held)
    assert cli.main(["run", "claims", "--instance", name]) == ExitCode.USAGE


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["claims", "--claims", "4"], "only `run all` starts several processes"),
        (["sweeper", "--claims", "4"], "only `run all` starts several processes"),
        (["sweeper", "--instance", "sweeper-0"], "a sweeper has no name"),
        (["all", "--instance", "claims-0"], "`run all` chooses its own"),
        (["claims", "--no-monitor"], "only `run all` starts the monitor"),
    ],
)
def test_an_option_that_run_would_not_heed_is_refused(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, held in SOUND.items():
        monkeypatch.setenv(variable, held)
    assert cli.main(["run", *arguments]) == ExitCode.USAGE
    assert told in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_kafka_properties_are_librdkafkas() -> None:
    loaded = settings.load({**SOUND, "VOUCHER_LEDGER_KAFKA_SECURITY_PROTOCOL": "ssl"})
    assert loaded.kafka_properties == {"security.protocol": "ssl"}
    loud = settings.load({**SOUND, "VOUCHER_LEDGER_KAFKA_LOG_LEVEL": "6"})
    assert kafka.consumer_config(loaded, "group")["log_level"] == 2
    assert kafka.consumer_config(loud, "group")["log_level"] == "6"


def test_an_operators_properties_go_before_defaults_but_not_before_guarantees() -> None:
    given = {"COMPRESSION_TYPE": "zstd", "LINGER_MS": "50", "FETCH_WAIT_MAX_MS": "7"}
    fixed = {"ISOLATION_LEVEL": "read_uncommitted", "ENABLE_IDEMPOTENCE": "false", "GROUP_ID": "another"}
    fixed["METADATA_BROKER_LIST"] = "elsewhere:9092"
    loaded = settings.load({**SOUND, **{f"{settings.KAFKA_PREFIX}{name}": v for name, v in {**given, **fixed}.items()}})
    producer = kafka.transactional_config(loaded, "claims-0", print)
    consumer = kafka.consumer_config(loaded, "group", "claims-0")
    assert (producer["compression.type"], producer["linger.ms"], consumer["fetch.wait.max.ms"]) == ("zstd", "50", "7")
    assert (producer["enable.idempotence"], consumer["isolation.level"]) == (True, "read_committed")
    assert consumer["group.id"] == "group"
    assert "metadata.broker.list" not in consumer


@pytest.mark.parametrize(("given", "level"), [("0", 6), ("7", 7)])
def test_a_producer_hears_of_its_lost_connections_whatever_the_operator_wants_logged(given: str, level: int) -> None:
    quiet = {"LOG_LEVEL": given, "LOG_CONNECTION_CLOSE": "false", "CONNECTIONS_MAX_IDLE_MS": "0"}
    loaded = settings.load({**SOUND, **{f"{settings.KAFKA_PREFIX}{name}": value for name, value in quiet.items()}})
    heard: list[KafkaError] = []
    producer = kafka.transactional_config(loaded, "claims-0", heard.append)
    assert (producer["log.connection.close"], producer["log_level"]) == (True, level)
    assert producer["connections.max.idle.ms"] < 60_000  # what is idle for longer, the broker may close unheard
    refused = "Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)"
    cut = "Disconnected: connection closed by peer (after 51ms in state UP, 1 identical error(s) suppressed)"
    for line in (
        f"FAIL [1]: {cut}",
        "REQTMOUT [1]: Timed out in flight",
        f"FAIL [1]: {refused}",
        f"FAIL [1]: {refused[:-1]}, 29 identical error(s) suppressed)",
        "CONNECT [1]: Connected",
    ):
        producer["logger"].info(line)
    assert [error.str().split()[0] for error in heard] == ["FAIL", "REQTMOUT"]
    # One of several brokers that is away takes nothing with it.
    for error in (KafkaError(KafkaError._TRANSPORT, refused), KafkaError(KafkaError._ALL_BROKERS_DOWN)):
        producer["error_cb"](error)
    assert len(heard) == 2
    producer["error_cb"](KafkaError(KafkaError._TRANSPORT, cut))
    producer["error_cb"](KafkaError(KafkaError._TRANSPORT, refused, fatal=True))
    assert len(heard) == 4


def test_a_table_that_the_database_lacks_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_arguments: object) -> None:
        raise psycopg.errors.UndefinedTable('relation "books.position" does not exist\nLINE 1: SELECT')

    for variable, held in SOUND.items():
        monkeypatch.setenv(variable, held)
    monkeypatch.setattr("voucher_ledger.run.single.run", run)
    assert cli.main(["run", "claims"]) == ExitCode.USAGE
    told = orjson.loads(capsys.readouterr().err)["cause"]
    assert 'relation "books.position" does not exist' in told
    assert "voucher-ledger migrate" in told
