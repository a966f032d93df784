"""The embedded Kafka: one process that is broker and KRaft controller, on loopback."""

import os
import shutil
import signal
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from voucher_ledger.dev import partials, ports, processes
from voucher_ledger.dev.errors import EmbeddedServerError, PortTakenError, StartError
from voucher_ledger.dev.ports import LOOPBACK, Ports
from voucher_ledger.dev.prepare import RESOURCES, Report, find_java, prepare

FORMAT_SECONDS_MAX = 120.0
# After a hard kill the broker scans the segments that were open.
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 30.0
PROBE_SECONDS_MAX = 5.0

# The broker works in its directory and gets relative names: a comma, a space or a letter past ASCII in the path would
# be read otherwise in a Java properties file.
DATA = "kafka"
TEMPORARY = "kafka-temporary"
PROPERTIES = "kafka.properties"
LOGGING = "kafka-log4j2.properties"

JVM_OPTIONS = (
    "-Xms256m",
    "-Xmx1g",
    "-XX:+UseParallelGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)

# Why each is not Kafka's default stands beside it; ports and directories are added at each start.
BROKER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
# One broker: every replication factor is one.
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Fewer internal partitions: a quicker start and fewer open files.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=1
# A dead process's transaction is aborted, and its partitions move, within seconds.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# A topic that nobody declared is a mistake, not a topic with one partition.
auto.create.topics.enable=false
# Replay reads from the first record, and a paused campaign keeps its offsets (ten years).
log.retention.ms=-1
offsets.retention.minutes=5256000
# Simulations write with the times that they play, years away from the clock.
log.message.timestamp.before.max.ms=9223372036854775807
log.message.timestamp.after.max.ms=9223372036854775807
# A broker that was killed may register anew once its old session is over; that wait is most of its restart.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
message.max.bytes=2200000
replica.fetch.max.bytes=2200000
# Two cores are shared with Postgres and the processors.
num.network.threads=2
num.io.threads=3
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=33554432
"""


def data_directory(directory: Path) -> Path:
    """Where the broker of `directory` keeps its records."""
    return directory / DATA


def log_path(directory: Path) -> Path:
    """The broker's own log, of all its runs."""
    return directory / "kafka.log"


def _mark(directory: Path) -> str:
    return f"-Dvoucher.ledger.directory={directory}"


def find(directory: Path) -> psutil.Process | None:
    """The running broker of `directory`, or None."""
    return processes.find("java", [_mark(directory)])


def start(directory: Path, chosen: Ports, report: Report) -> None:
    """Start the broker and wait until it answers.

    Raises PortTakenError when a chosen port is no longer free, StartError when the broker ends or stays silent, and
    SetupError when Java or Maven is missing.
    """
    java = find_java()
    home = prepare(report)
    # What a killed broker unpacked there (native compression libraries) would pile up.
    temporary = directory / TEMPORARY
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    classpath = ["-cp", f"{home / 'jars'}/*"]
    if not data_directory(directory).is_dir():
        report("formatting Kafka's data directory")
        _format(directory, chosen, [java, *classpath])
    (directory / PROPERTIES).write_text(_properties(chosen, DATA))
    (directory / LOGGING).write_bytes(RESOURCES.joinpath("log4j2.properties").read_bytes())
    for port in (chosen.kafka, chosen.controller):
        if not ports.becomes_free(port):
            raise PortTakenError(f"port {port} on {LOOPBACK}, Kafka's, is taken by another program. Free it.")
    command = [
        *(java, *JVM_OPTIONS, _mark(directory), f"-Djava.io.tmpdir={TEMPORARY}"),
        *(f"-Dlog4j2.configurationFile={LOGGING}", *classpath, "kafka.Kafka", PROPERTIES),
    ]
    report(f"starting Kafka on {LOOPBACK}:{chosen.kafka}")
    offset = processes.open_log(log_path(directory))
    process = processes.launch(command, log_path(directory), directory, os.environ)
    wait_ready(directory, chosen, process, offset)


def _properties(chosen: Ports, data: str) -> str:
    return BROKER_PROPERTIES + (
        f"listeners=PLAINTEXT://{LOOPBACK}:{chosen.kafka},CONTROLLER://{LOOPBACK}:{chosen.controller}\n"
        f"advertised.listeners=PLAINTEXT://{LOOPBACK}:{chosen.kafka}\n"
        f"controller.quorum.voters=1@{LOOPBACK}:{chosen.controller}\n"
        f"log.dirs={data}\n"
    )


def _format(directory: Path, chosen: Ports, java: list[str]) -> None:
    partial = partials.begin(data_directory(directory))
    (directory / PROPERTIES).write_text(_properties(chosen, partial.name))
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # An identifier that begins with a hyphen would be read as an option.
    command = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id=v{cluster_id[1:]}", "-c", PROPERTIES]
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=FORMAT_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StartError(f"Kafka's format of {partial} did not end within {FORMAT_SECONDS_MAX:.0f} s.") from None
    if done.returncode != 0:
        raise StartError(f"Kafka could not format {partial} (exit {done.returncode}):\n{done.stdout.strip()}")
    partial.rename(data_directory(directory))


def wait_ready(directory: Path, chosen: Ports, process: psutil.Process, log_offset: int) -> None:
    """Return once the broker answers a metadata request. Raises StartError when it ends first or stays silent."""

    def ended_or_listens() -> bool:
        return not processes.is_alive(process) or ports.listens(chosen.kafka)

    log = log_path(directory)
    if processes.wait_until(ended_or_listens, START_SECONDS_MAX) and processes.is_alive(process):
        # The client is made only now: before the port listens, it would retry at its own, slower pace.
        client = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{chosen.kafka}", "log_level": 0})
        processes.wait_until(lambda: not processes.is_alive(process) or _answers(client), START_SECONDS_MAX)
        if processes.is_alive(process) and _answers(client):
            return
    tail = processes.log_tail(log, log_offset)
    if processes.is_alive(process):
        raise StartError(f"Kafka did not answer within {START_SECONDS_MAX:.0f} s. The end of its log, {log}:\n{tail}")
    if "Address already in use" in tail:
        raise PortTakenError(f"another program took one of Kafka's ports. The end of its log, {log}:\n{tail}")
    raise StartError(f"Kafka ended while starting. The end of its log, {log}:\n{tail}")


def _answers(client: AdminClient) -> bool:
    try:
        return len(client.list_topics(timeout=PROBE_SECONDS_MAX).brokers) > 0
    except KafkaException:
        return False


def stop(directory: Path, report: Report) -> bool:
    """Stop the broker; whether there was one. Raises EmbeddedServerError when it cannot be stopped."""
    process = find(directory)
    if process is None:
        return False
    if not processes.stop(process, signal.SIGTERM, STOP_SECONDS_MAX):
        report(f"Kafka did not stop within {STOP_SECONDS_MAX:.0f} s and was killed; it recovers at its next start")
    return True


def kill(directory: Path) -> None:
    """End the broker as a crash would. Raises EmbeddedServerError when it does not run."""
    process = find(directory)
    if process is None:
        raise EmbeddedServerError(f"no Kafka runs for {directory}. Start it with `dev up`.")
    processes.kill(process)
