"""The embedded cluster of one directory: a Kafka and a Postgres, brought up, taken down, and looked at.

Everything of a cluster lies below its directory: `ports.json`, `kafka/`, `postgres/` (or a link, see `postgres_home`)
and the two logs. Ports and data survive `down`; removing the directory removes the cluster.
"""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from voucher_ledger.dev import kafka_server, ports, postgres_home, postgres_server
from voucher_ledger.dev.errors import EmbeddedServerError, PortTakenError
from voucher_ledger.dev.locks import exclusive
from voucher_ledger.dev.ports import LOOPBACK, Ports
from voucher_ledger.dev.prepare import Report
from voucher_ledger.dev.presence import located

# Longer than the longest start of another caller, fetching Kafka's jars included.
LOCK_SECONDS_MAX = 1200.0
START_ATTEMPTS_MAX = 3


@dataclass(frozen=True)
class Endpoints:
    """Where a cluster answers: Kafka's bootstrap servers and a Postgres DSN with full rights."""

    kafka: str
    postgres: str

    def to_json(self) -> str:
        """The object of the contract, on one line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Status:
    """What is known of a cluster. `endpoints` is None before its first `up`; a pid is None when that server is down."""

    endpoints: Endpoints | None
    kafka_pid: int | None
    postgres_pid: int | None

    @property
    def running(self) -> bool:
        """Whether both servers run."""
        return self.kafka_pid is not None and self.postgres_pid is not None


def _quiet(_line: str) -> None:
    """Report nothing: the default for callers that are no terminal."""


def _ports_path(directory: Path) -> Path:
    return directory / ports.FILE_NAME


def _endpoints(chosen: Ports) -> Endpoints:
    return Endpoints(kafka=f"{LOOPBACK}:{chosen.kafka}", postgres=postgres_server.dsn(chosen.postgres))


def up(directory: Path, report: Report = _quiet) -> Endpoints:
    """Start what does not run of the cluster in `directory` (made when absent) and return when both servers answer.

    A second call, at the same time or later, gives the same answer. `report` gets one line per step.
    Raises SetupError when the machine lacks something, StartError when a server does not start; what this call had
    started is then stopped again.
    """
    directory = located(directory)
    with exclusive(directory / ".lock", LOCK_SECONDS_MAX):
        chosen = _chosen_ports(directory, report)
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            try:
                _start_missing(directory, chosen, report)
                return _endpoints(chosen)
            except PortTakenError as error:
                if attempt == START_ATTEMPTS_MAX:
                    raise
                report(str(error).splitlines()[0])
                chosen = _move_ports(directory, chosen, report)
        raise AssertionError("unreachable: the last attempt returns or raises")


def _chosen_ports(directory: Path, report: Report) -> Ports:
    """The ports of this cluster, those of stopped servers replaced where another program has taken them."""
    path = _ports_path(directory)
    chosen = ports.load(path)
    if chosen is None:
        # Without the file nobody knows the ports of servers that may run: stop them and begin with new ones.
        if kafka_server.stop(directory, report) | postgres_server.stop(directory, report):
            report(f"{path} was missing or damaged: servers that ran were stopped, and get new ports")
        chosen = ports.pick_all()
        ports.save(path, chosen)
        return chosen
    return _move_ports(directory, chosen, report)


def _move_ports(directory: Path, chosen: Ports, report: Report) -> Ports:
    moved = chosen
    kafka_ports = (chosen.kafka, chosen.controller)
    if kafka_server.find(directory) is None and not all(map(ports.becomes_free, kafka_ports)):
        fresh = ports.pick_all()
        moved = replace(moved, kafka=fresh.kafka, controller=fresh.controller)
        report(f"Kafka's port {chosen.kafka} or {chosen.controller} is taken: it moves to {moved.kafka}")
    if postgres_server.find(directory) is None and not ports.becomes_free(chosen.postgres):
        moved = replace(moved, postgres=ports.pick_free({moved.kafka, moved.controller}))
        report(f"Postgres' port {chosen.postgres} is taken: it moves to {moved.postgres}")
    if moved != chosen:
        ports.save(_ports_path(directory), moved)
    return moved


def _start_missing(directory: Path, chosen: Ports, report: Report) -> None:
    """Start both servers at once, or wait for those that run. Stops what it started when either fails."""

    def kafka() -> bool:
        running = kafka_server.find(directory)
        if running is None:
            kafka_server.start(directory, chosen, report)
            return True
        kafka_server.wait_ready(directory, chosen, running, 0)
        return False

    def postgres() -> bool:
        running = postgres_server.find(directory)
        if running is None:
            postgres_server.start(directory, chosen, report)
            return True
        postgres_server.wait_ready(directory, chosen, running, 0)
        return False

    ran_before = status(directory)
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="dev-start") as pool:
        started = [pool.submit(kafka), pool.submit(postgres)]
    failures = [error for error in (future.exception() for future in started) if error is not None]
    if not failures:
        return
    if ran_before.kafka_pid is None:
        kafka_server.stop(directory, report)
    if ran_before.postgres_pid is None:
        postgres_server.stop(directory, report)
    # A port that was taken can be cured by another try; any other failure goes before it.
    raise next((error for error in failures if not isinstance(error, PortTakenError)), failures[0])


def down(directory: Path, report: Report = _quiet) -> None:
    """Stop the servers of `directory`, and only those. Nothing happens when none runs.

    Raises EmbeddedServerError when one cannot be stopped, for example since it is another user's.
    """
    directory = located(directory)
    # A directory that somebody deleted under its servers is not made anew; the servers are found without it.
    with exclusive(directory / ".lock", LOCK_SECONDS_MAX) if directory.is_dir() else nullcontext():
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="dev-stop") as pool:
            kafka = pool.submit(kafka_server.stop, directory, report)
            postgres = pool.submit(postgres_server.stop, directory, report)
        for name, stopped in (("Kafka", kafka.result()), ("Postgres", postgres.result())):
            report(f"{name} stopped" if stopped else f"{name} did not run")


def remove(directory: Path) -> None:
    """Stop the servers of `directory` and delete it and all their data. Raises EmbeddedServerError when one stays."""
    directory = located(directory)
    down(directory)
    postgres_home.remove_data(postgres_server.link_path(directory))
    if directory.is_dir():
        shutil.rmtree(directory)


def status(directory: Path) -> Status:
    """What runs for `directory`. Changes nothing and takes no lock."""
    directory = located(directory)
    chosen = ports.load(_ports_path(directory))
    kafka, postgres = kafka_server.find(directory), postgres_server.find(directory)
    return Status(
        endpoints=_endpoints(chosen) if chosen is not None else None,
        kafka_pid=kafka.pid if kafka is not None else None,
        postgres_pid=postgres.pid if postgres is not None else None,
    )


def stop_kafka(directory: Path, hard: bool) -> None:
    """Stop only Kafka; `hard` ends it as a crash would. Raises EmbeddedServerError when it does not run."""
    directory = located(directory)
    with exclusive(directory / ".lock", LOCK_SECONDS_MAX):
        if hard:
            kafka_server.kill(directory)
        elif not kafka_server.stop(directory, _quiet):
            raise EmbeddedServerError(f"no Kafka runs for {directory}. Start it with `dev up`.")


def start_kafka(directory: Path) -> None:
    """Start only Kafka, at the port that it had. Raises StartError when it does not start or the port is taken."""
    directory = located(directory)
    with exclusive(directory / ".lock", LOCK_SECONDS_MAX):
        if kafka_server.find(directory) is None:
            kafka_server.start(directory, _known_ports(directory), _quiet)


def restart_kafka(directory: Path, hard: bool) -> None:
    """Stop Kafka (`hard`: as a crash would) and start it again at the same port."""
    stop_kafka(directory, hard)
    start_kafka(directory)


def stop_postgres(directory: Path, hard: bool) -> None:
    """Stop only Postgres; `hard` ends it as a power cut would. Raises EmbeddedServerError when it does not run."""
    directory = located(directory)
    with exclusive(directory / ".lock", LOCK_SECONDS_MAX):
        if hard:
            postgres_server.kill(directory)
        elif not postgres_server.stop(directory, _quiet):
            raise EmbeddedServerError(f"no Postgres runs for {directory}. Start it with `dev up`.")


def start_postgres(directory: Path) -> None:
    """Start only Postgres, at the port that it had. Raises StartError when it does not start or the port is taken."""
    directory = located(directory)
    with exclusive(directory / ".lock", LOCK_SECONDS_MAX):
        if postgres_server.find(directory) is None:
            postgres_server.start(directory, _known_ports(directory), _quiet)


def restart_postgres(directory: Path, hard: bool) -> None:
    """Stop Postgres (`hard`: as a power cut would) and start it again at the same port."""
    stop_postgres(directory, hard)
    start_postgres(directory)


def _known_ports(directory: Path) -> Ports:
    chosen = ports.load(_ports_path(directory))
    if chosen is None:
        raise EmbeddedServerError(f"{directory} holds no cluster. Make one with `dev up`.")
    return chosen
