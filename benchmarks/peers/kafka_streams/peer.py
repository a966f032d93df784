"""Builds and starts the Kafka Streams peer: the same claims work, as a Kafka Streams user would write it.

How the comparison is fair:

- Same broker, same machine, same input records, same guarantee: exactly once from the command topic to the event
  topic (`exactly_once_v2`), same contract: one CloudEvents outcome a command, duplicates answered alike, limit per
  user, quota never passed.
- Its settings are an expert's (`src/main/resources/peer.properties`, `jvm.options`), each with its reason: larger
  fetches and batches than the defaults, lz4, the quota's counter cached so that it costs one write a commit.
  Where two settings were tried, the faster one for the peer was taken.
- It does less than the ledger: no double-entry transfers, no state that SQL can read, no JSON Schema (it checks
  what it reads and stops at a broken record rather than dead-lettering it), no campaign record, no leases between
  partitions (each grants from a fixed share of the quota). All of this favours the peer.
- Starting the JVM and joining the group is not to be timed: wait for RUNNING first (`wait_until_running`). Whatever
  it decided by then counts for it: compare by the time of the last outcome, over all claims.
- The JVM compiles what is hot during the first seconds. With 500,000 claims that is a large part of the run; with a
  million or more, or by the second half alone (`measure_peer` prints both), one sees what it does from then on.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Store = Literal["rocksdb", "memory"]

PROJECT = Path(__file__).resolve().parent
TARGET = PROJECT / "target"
JAR = TARGET / "kafka-streams-peer.jar"
STAMP = TARGET / "sources.sha256"

READY_LINE = "RUNNING"
BUILD_TIMEOUT_SECONDS = 600
READY_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0
POLL_INTERVAL_SECONDS = 0.05
LOG_LINES_SHOWN = 20


class PeerError(Exception):
    """The peer could not be built or did not start; the message says why and what to do."""


def build() -> Path:
    """Compile the peer with Maven unless its sources are unchanged since the last build.

    Returns the jar; its dependencies lie beside it in `lib/`. Raises `PeerError` when Java or Maven is missing or
    Maven fails.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise PeerError(f"{program} is not on PATH: apt-get install openjdk-17-jre-headless maven")
    sources = _sources_digest()
    with _build_lock():
        if JAR.is_file() and STAMP.is_file() and STAMP.read_text() == sources:
            return JAR
        STAMP.unlink(missing_ok=True)
        _run_maven(["mvn", "--quiet", "--batch-mode", "--file", str(PROJECT / "pom.xml"), "clean", "package"])
        STAMP.write_text(sources)
    return JAR


def start(
    bootstrap: str,
    input_topic: str,
    output_topic: str,
    store: Store,
    threads: int,
    state_dir: Path,
    log_path: Path,
    *,
    quota: int | None = None,
    options: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start the peer on topics that exist; everything it prints goes to `log_path`.

    The application id (and so its consumer group and changelog topics) is made from `state_dir`'s name: a new
    directory is a new application that reads the input from its beginning. `quota` counts vouchers, without it they
    do not run out. `options` are further arguments of the program, such as `("--set", "commit.interval.ms=1000")`.
    Raises `PeerError` as `build` does; end the process with `stop`.
    """
    jar = build()
    state_dir.mkdir(parents=True, exist_ok=True)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = ["java", f"@{PROJECT / 'jvm.options'}", "-jar", str(jar)]
    command += ["--bootstrap", bootstrap, "--application-id", application_id(state_dir)]
    command += ["--input", input_topic, "--output", output_topic, "--state-dir", str(state_dir.resolve())]
    command += ["--store", store, "--threads", str(threads)]
    command += [] if quota is None else ["--quota", str(quota)]
    with log_path.open("wb") as log:
        return subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def application_id(state_dir: Path) -> str:
    """The consumer group of a peer started with this state directory; its internal topics begin with it, too."""
    return f"kafka-streams-peer-{state_dir.name}"


def wait_until_running(
    process: subprocess.Popen[bytes], log_path: Path, timeout_seconds: float = READY_TIMEOUT_SECONDS
) -> None:
    """Return once the peer has printed its RUNNING line; raise `PeerError` if it ends first or takes too long."""
    deadline = time.monotonic() + timeout_seconds
    while READY_LINE not in log_path.read_text(errors="replace").splitlines():
        if process.poll() is not None:
            raise PeerError(f"the peer ended with exit code {process.returncode}; {log_path} ends:\n{_tail(log_path)}")
        if time.monotonic() > deadline:
            raise PeerError(f"the peer was not RUNNING after {timeout_seconds} s; {log_path} ends:\n{_tail(log_path)}")
        time.sleep(POLL_INTERVAL_SECONDS)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the peer: it commits what it has decided and leaves its group; killed if that takes too long."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _sources_digest() -> str:
    """One hash over the names and contents of everything that the jar is made of."""
    digest = hashlib.sha256()
    for path in [PROJECT / "pom.xml", *sorted((PROJECT / "src").rglob("*.*"))]:
        digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@contextmanager
def _build_lock() -> Iterator[None]:
    """Let two benchmarks started at once build one after the other. The lock lies outside of what a build cleans."""
    with (PROJECT / "pom.xml").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_maven(command: list[str]) -> None:
    try:
        finished = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(
            f"{' '.join(command)} took longer than {BUILD_TIMEOUT_SECONDS} s; is the network up?"
        ) from error
    if finished.returncode != 0:
        output = "\n".join(finished.stdout.splitlines()[-LOG_LINES_SHOWN:])
        raise PeerError(f"{' '.join(command)} failed with exit code {finished.returncode}; it ends:\n{output}")


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
