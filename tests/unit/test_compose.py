"""docker-compose.yml is held against what it names: the settings of `dev up`, commands, variables, ports, files.

No engine runs it here: this is what can be held without one.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from typer.main import get_command

from voucher_ledger.cli import app
from voucher_ledger.dev.kafka_server import BROKER_PROPERTIES
from voucher_ledger.dev.postgres_server import DATABASE, SETTINGS
from voucher_ledger.runtime.settings import load

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = ("kafka", "postgres", "processors", "monitor", "prometheus", "alertmanager", "grafana")
OURS = ("migrate", "topics", "processors", "monitor")
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    if line[:1].isupper()
)

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
    secrets = [
        value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if "PASSWORD" in name
    ]
    assert len(secrets) == 9
    assert all(re.fullmatch(r"\$\{\w+:\?.*\}", value) for value in secrets)
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 6
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_each_variable_is_in_the_example_and_each_of_the_example_is_read() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    secrets = {one["environment"] for one in COMPOSE["secrets"].values()}
    assert set(re.findall(r"\$\{(\w+)", text)) | secrets == set(EXAMPLE)
    assert dict(re.findall(r"\$\{(\w+):-(\w+)\}", text)) == {name: value for name, value in EXAMPLE.items() if value}


def test_what_stays_up_is_watched_and_what_holds_data_keeps_it() -> None:
    for name in SERVERS:
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD", name
        assert SERVICES[name]["restart"] == "unless-stopped", name
    kept = {volume.split(":")[0] for name in SERVERS for volume in SERVICES[name].get("volumes", ())}
    assert {volume for volume in kept if not volume.startswith(".")} == set(COMPOSE["volumes"])


def test_nothing_takes_more_than_its_share_of_the_machine() -> None:
    """Whatever runs away is ended or slowed down by itself, before it takes Kafka's and Postgres' memory or disk."""
    for name, service in SERVICES.items():
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys(), name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
    bounded = {word.partition("=")[0] for word in SERVICES["prometheus"]["command"]}
    assert {"--storage.tsdb.retention.time", "--storage.tsdb.retention.size"} <= bounded


def test_kafkas_check_takes_a_small_heap_of_its_own() -> None:
    kafka = SERVICES["kafka"]
    (heap,) = (word for word in kafka["healthcheck"]["test"] if word.startswith("KAFKA_HEAP_OPTS="))
    assert heap != f"KAFKA_HEAP_OPTS={kafka['environment']['KAFKA_HEAP_OPTS']}"
    assert kafka["healthcheck"]["interval"] == "30s"


def test_alertmanager_is_reached_and_reads_its_secrets_where_they_are() -> None:
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (told,) = prometheus["alerting"]["alertmanagers"]
    assert told["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    config = (ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    read = set(re.findall(r"url_file: /run/secrets/(\w+)", config))
    assert read == set(SERVICES["alertmanager"]["secrets"]) == set(COMPOSE["secrets"])
    assert not re.search(r"\burl:|https?://", config), "an address in the repository"


def test_each_waits_for_what_it_needs_and_that_can_be_awaited() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            stays = needed in SERVERS
            wanted = "service_healthy" if stays else "service_completed_successfully"
            assert how["condition"] == wanted, f"{name} waits for {needed}"
    for name in ("processors", "monitor"):
        assert {"migrate", "topics"} <= SERVICES[name]["depends_on"].keys()


def test_images_are_pinned_and_ours_is_built_from_files_that_are_there() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[\w./-]+:(v?\d[\w.]*|local)", service["image"]), name
    build = SERVICES["processors"]["build"]
    dockerfile = (ROOT / build["dockerfile"]).read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, flags=re.MULTILINE)
    allowed = (ROOT / f"{build['dockerfile']}.dockerignore").read_text(encoding="utf-8").splitlines()
    for source in " ".join(copied).split():
        assert (ROOT / source).exists(), source
        assert f"!{source.rstrip('/')}" in allowed, source
    assert re.search(r"^USER 10001$", dockerfile, flags=re.MULTILINE)
    for name in OURS:
        assert SERVICES[name]["read_only"], name
        # A tmpfs over a directory of the image takes its mode, and WORKDIR makes one that is root's alone.
        works_in = re.findall(r"^WORKDIR (\S+)$", dockerfile, flags=re.MULTILINE)[-1]
        modes = {mount.partition(":")[0]: mount.partition(":")[2] for mount in SERVICES[name]["tmpfs"]}
        assert works_in in modes, name
        assert set(modes.values()) == {"mode=1777"}, name


def test_mounted_files_are_there() -> None:
    mounted = [
        volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", ()) if volume[0] == "."
    ]
    assert len(mounted) == 6
    for source, _, mode in mounted:
        assert (ROOT / source).exists(), source
        assert mode == "ro"


def test_commands_and_settings_are_ours() -> None:
    commands = get_command(app)
    for name in OURS:
        command = SERVICES[name]["command"]
        asked = commands.commands[command[0]].make_context(command[0], command[1:])  # type: ignore[attr-defined]
        given = [word for word in command[1:] if not word.startswith("--")]
        assert given == [asked.params["process"]] if given else len(command) == 1, name
        environment = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
        settings = load(environment)
        listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
        assert f"NETWORK://{settings.kafka}" in listeners
        assert f"dbname={DATABASE}" in settings.postgres


def test_one_monitor_runs() -> None:
    assert SERVICES["monitor"]["command"] == ["run", "monitor"]
    assert "--no-monitor" in SERVICES["processors"]["command"]


def test_prometheus_scrapes_the_ports_that_the_processes_serve() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {
        job["job_name"]: [target for config in job["static_configs"] for target in config["targets"]]
        for job in scraped["scrape_configs"]
    }
    base = load(SERVICES["processors"]["environment"]).metrics_port
    # In the order of `run all`: campaigns, claims, orders, payments, sweeper (tests/integration/test_metrics.py).
    assert jobs["voucher-ledger"] == [f"processors:{base + number}" for number in range(5)]
    assert f"range({base}, {base + 5})" in SERVICES["processors"]["healthcheck"]["test"][-1]
    port = load(SERVICES["monitor"]["environment"]).monitor_address.rpartition(":")[2]
    assert jobs["voucher-ledger-monitor"] == [f"monitor:{port}"]


def test_grafana_is_given_each_variable_of_its_provisioning() -> None:
    given = SERVICES["grafana"]["environment"]
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    asked = {name for path in provisioning.rglob("*.yaml") for name in re.findall(r"\$\{(\w+)\}", path.read_text())}
    assert asked == {name for name in given if not name.startswith("GF_")}
    login = (ROOT / "deploy" / "postgres" / "reader_login.sql").read_text(encoding="utf-8")
    assert f"ALTER ROLE {given['LEDGER_POSTGRES_USER']} PASSWORD" in login
    (dashboards,) = (volume.split(":") for volume in SERVICES["grafana"]["volumes"] if "dashboards:" in volume)
    (provider,) = (provisioning / "dashboards").iterdir()
    assert yaml.safe_load(provider.read_text(encoding="utf-8"))["providers"][0]["options"]["path"] == dashboards[1]
    home = Path(given["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / dashboards[0] / home.relative_to(dashboards[1])).exists()
