"""The life of an embedded cluster: up, down, killed and damaged, with its data looked at after each."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import voucher_ledger
from voucher_ledger.dev import cluster, ports, postgres_server
from voucher_ledger.dev.cluster import Endpoints

pytestmark = pytest.mark.integration

COMMAND_SECONDS_MAX = 150
TOPIC = "survivors"
SOURCE_ROOT = Path(voucher_ledger.__file__).parent.parent


def dev(
    *arguments: str, directory: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voucher_ledger.dev.commands", *arguments, "--dir", str(directory)],
        env={**os.environ, "PYTHONPATH": str(SOURCE_ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


@dataclass
class Witness:
    """Writes to both servers and looks whether all that it wrote is there."""

    written: int = 0

    def write(self, endpoints: Endpoints) -> None:
        if self.written == 0:
            admin = AdminClient({"bootstrap.servers": endpoints.kafka})
            admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(timeout=30)
        self.written += 1
        producer = Producer({"bootstrap.servers": endpoints.kafka, "acks": "all"})
        producer.produce(TOPIC, str(self.written).encode())
        assert producer.flush(30) == 0
        with psycopg.connect(endpoints.postgres) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS survivor (number int PRIMARY KEY)")
            connection.execute("INSERT INTO survivor VALUES (%s)", (self.written,))

    def check(self, endpoints: Endpoints) -> None:
        expected = list(range(1, self.written + 1))
        with psycopg.connect(endpoints.postgres) as connection:
            rows = connection.execute("SELECT number FROM survivor ORDER BY number").fetchall()
        assert [number for (number,) in rows] == expected
        consumer = Consumer(
            {
                "bootstrap.servers": endpoints.kafka,
                "group.id": "witness",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,  # each look begins at the first record
            }
        )
        try:
            consumer.subscribe([TOPIC])
            records = consumer.consume(len(expected), timeout=60)
            assert [int(record.value() or b"") for record in records] == expected
        finally:
            consumer.close()


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    # Not pytest's own: those are closed to other users, and this cluster is the one whose data lies in its directory.
    with tempfile.TemporaryDirectory(prefix="voucher-ledger-dev-") as made:
        Path(made).chmod(0o755)
        yield Path(made) / "cluster"
        cluster.down(Path(made) / "cluster")


@pytest.fixture(scope="module")
def witness() -> Witness:
    return Witness()


@pytest.fixture
def running(directory: Path, witness: Witness) -> Endpoints:
    """The module's cluster, up, with something written since the last test."""
    endpoints = cluster.up(directory)
    witness.write(endpoints)
    return endpoints


def kill_both(directory: Path) -> None:
    found = cluster.status(directory)
    assert found.kafka_pid is not None
    assert found.postgres_pid is not None
    for pid in (found.kafka_pid, found.postgres_pid):
        process = psutil.Process(pid)
        process.kill()
        process.wait(30)


def test_two_ups_at_once_make_one_cluster(directory: Path, witness: Witness) -> None:
    """First in this file, so that both find nothing: not even the ports are chosen."""
    command = [sys.executable, "-m", "voucher_ledger.dev.commands", "up", "--dir", str(directory)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_ROOT)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [json.loads(one.communicate(timeout=COMMAND_SECONDS_MAX)[0].splitlines()[-1]) for one in both]
    assert answers[0] == answers[1]
    mark = f"-Dvoucher.ledger.directory={directory.resolve()}"
    assert sum(mark in (process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])) == 1
    witness.write(Endpoints(**answers[0]))
    witness.check(Endpoints(**answers[0]))


def test_up_prints_the_contract_as_its_last_line_and_both_answer(directory: Path, witness: Witness) -> None:
    answer = last_line(dev("up", directory=directory))
    assert set(answer) == {"kafka", "postgres"}
    assert answer["kafka"].startswith("127.0.0.1:")
    assert answer["postgres"].startswith("postgresql://postgres@127.0.0.1:")
    assert answer["postgres"].endswith("/voucher_ledger")
    witness.write(Endpoints(**answer))
    witness.check(Endpoints(**answer))


def test_up_again_answers_the_same_and_starts_nothing(running: Endpoints, directory: Path) -> None:
    before = cluster.status(directory)
    assert last_line(dev("up", directory=directory)) == json.loads(running.to_json())
    assert cluster.status(directory) == before


def test_data_and_ports_survive_down_and_up(running: Endpoints, directory: Path, witness: Witness) -> None:
    assert dev("status", directory=directory).returncode == 0
    assert dev("down", directory=directory).returncode == 0
    told = dev("status", "--json", directory=directory)
    assert (told.returncode, json.loads(told.stdout)["running"]) == (3, False)
    assert last_line(dev("up", directory=directory)) == json.loads(running.to_json())
    witness.check(running)


def test_a_taken_port_moves_and_up_says_so(running: Endpoints, directory: Path, witness: Witness) -> None:
    cluster.down(directory)
    taken = int(running.kafka.rpartition(":")[2])
    with socket.create_server((ports.LOOPBACK, taken)):
        done = dev("up", directory=directory)
    moved = Endpoints(**last_line(done))
    assert moved.kafka != running.kafka
    assert moved.postgres == running.postgres
    assert f"Kafka's port {taken}" in done.stderr
    witness.check(moved)


def test_servers_killed_hard_are_recovered(running: Endpoints, directory: Path, witness: Witness) -> None:
    kill_both(directory)
    assert cluster.status(directory).running is False
    assert cluster.up(directory) == running
    witness.check(running)


def test_one_server_restarts_alone_at_its_port(running: Endpoints, directory: Path, witness: Witness) -> None:
    before = cluster.status(directory)
    cluster.restart_postgres(directory, hard=True)
    between = cluster.status(directory)
    assert (between.kafka_pid, between.endpoints) == (before.kafka_pid, running)
    assert between.postgres_pid not in {before.postgres_pid, None}
    cluster.restart_kafka(directory, hard=False)
    after = cluster.status(directory)
    assert (after.postgres_pid, after.endpoints) == (between.postgres_pid, running)
    assert after.kafka_pid not in {before.kafka_pid, None}
    witness.check(running)


def test_a_stale_pid_that_is_anothers_now_hurts_neither(running: Endpoints, directory: Path, witness: Witness) -> None:
    """A reboot gave the dead postmaster's number to another program of the same user."""
    cluster.stop_postgres(directory, hard=True)
    data = postgres_server.link_path(directory).resolve()
    lock_file = data / "postmaster.pid"
    owner = data.stat()
    bystander = subprocess.Popen(["sleep", "600"], user=owner.st_uid, group=owner.st_gid)
    try:
        lines = lock_file.read_text().splitlines()
        lock_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        cluster.down(directory)
        assert bystander.poll() is None
        assert cluster.up(directory) == running
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(30)
    witness.check(running)


def test_a_lost_ports_file_gives_new_ports_and_keeps_the_data(
    running: Endpoints, directory: Path, witness: Witness
) -> None:
    (directory / "ports.json").write_text('{"kafka": "99')
    done = dev("up", directory=directory)
    answer = Endpoints(**last_line(done))
    assert answer != running
    assert "missing or damaged" in done.stderr
    witness.check(answer)


def test_a_server_that_cannot_start_is_reported_with_its_log(running: Endpoints, directory: Path) -> None:
    cluster.down(directory)
    settings = postgres_server.link_path(directory).resolve() / "postgresql.auto.conf"
    sound = settings.read_bytes()
    settings.write_bytes(sound + b"work_mem = 'a great deal'\n")
    try:
        done = dev("up", directory=directory)
    finally:
        settings.write_bytes(sound)
    assert done.returncode == 3
    assert done.stdout == ""
    assert str(directory / "postgres.log") in done.stderr
    assert "a great deal" in done.stderr
    assert cluster.status(directory).kafka_pid is None, "the server that this call started was left running"
    assert cluster.up(directory) == running


def test_down_stops_a_frozen_server_too(running: Endpoints, directory: Path) -> None:
    pid = cluster.status(directory).kafka_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    cluster.down(directory)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert cluster.up(directory) == running
