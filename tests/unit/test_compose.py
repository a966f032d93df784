"""docker-compose.yml and the embedded servers of `dev up` are set alike, so that one can stand for the other."""

import re
from pathlib import Path

import yaml

from voucher_ledger.dev.kafka_server import BROKER_PROPERTIES
from voucher_ledger.dev.postgres_server import SETTINGS

COMPOSE = yaml.safe_load((Path(__file__).resolve().parents[2] / "docker-compose.yml").read_text(encoding="utf-8"))

# Listeners differ (a container has two networks), and a container has a machine of its own to spread over.
BROKER_OF_ITS_OWN = re.compile(r".*listener.*|process\.roles|node\.id|num\..*|background\.threads|controller\..*")
# What a batch's safety and a query's plan rest on; the rest is the machine's.
POSTGRES_SHARED = (
    "shared_buffers fsync full_page_writes synchronous_commit max_wal_size checkpoint_timeout wal_compression jit"
    " random_page_cost"
)


def settings_of(text: str) -> dict[str, str]:
    """Read `name=value` or `name = 'value'` lines, without comments and blanks."""
    lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("'") for name, _, value in lines}


def test_kafka_is_set_as_the_embedded_broker() -> None:
    container = COMPOSE["services"]["kafka"]["environment"]
    wanted = {
        name: value for name, value in settings_of(BROKER_PROPERTIES).items() if not BROKER_OF_ITS_OWN.fullmatch(name)
    }
    assert len(wanted) > 10, "the embedded broker's settings were not understood"
    assert {name: container.get("KAFKA_" + name.upper().replace(".", "_")) for name in wanted} == wanted


def test_postgres_is_set_as_the_embedded_server() -> None:
    container = dict(word.split("=", 1) for word in COMPOSE["services"]["postgres"]["command"] if "=" in word)
    embedded = settings_of(SETTINGS)
    for name in POSTGRES_SHARED.split():
        assert container[name] == embedded[name], name


def test_no_password_is_written_down_and_no_port_is_open_to_others() -> None:
    services = COMPOSE["services"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    ports = [port for service in services.values() for port in service["ports"]]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_both_are_watched_and_keep_their_data() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["volumes"], name
