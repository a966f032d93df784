"""Kafka's jars: fetched once by Maven into a cache that all clusters of this user share.

`python -m voucher_ledger.dev.prepare` does it ahead of the first start.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from voucher_ledger.dev.errors import EmbeddedServerError, SetupError
from voucher_ledger.dev.locks import exclusive

KAFKA_VERSION = "4.1.1"
JAVA_VERSION_MIN = 17
JAVA_SECONDS_MAX = 60.0
MAVEN_SECONDS_MAX = 900.0
LOCK_SECONDS_MAX = MAVEN_SECONDS_MAX + 60.0
OUTPUT_TAIL_LINES = 12
RESOURCES = files("voucher_ledger.dev").joinpath("kafka")

Report = Callable[[str], None]


def cache_directory() -> Path:
    """Where Kafka's files are kept: below $VOUCHER_LEDGER_CACHE, else below the user's cache."""
    configured = os.environ.get("VOUCHER_LEDGER_CACHE")
    root = Path(configured).expanduser() if configured else Path.home() / ".cache" / "voucher-ledger"
    # Named after its content too: a release with other jars fetches its own and disturbs no running broker.
    content = hashlib.sha256(RESOURCES.joinpath("jars.sha256").read_bytes()).hexdigest()[:8]
    return root.absolute() / f"kafka-{KAFKA_VERSION}-{content}"


def prepare(report: Report) -> Path:
    """The directory that holds `jars/`, Kafka and all that it needs, fetched when it is not there yet.

    Raises SetupError when Maven is missing or the cache cannot be written, EmbeddedServerError when fetching fails.
    """
    directory = cache_directory()
    if directory.is_dir():  # it gets this name only when complete
        return directory
    with exclusive(directory.with_name(directory.name + ".lock"), LOCK_SECONDS_MAX):
        if directory.is_dir():
            return directory
        maven = shutil.which("mvn")
        if maven is None:
            raise SetupError(
                "Maven (mvn) is not installed, and Kafka's jars are not in the cache yet. "
                "Install it, for example: apt-get install openjdk-17-jre-headless maven"
            )
        report(f"fetching Kafka {KAFKA_VERSION} with Maven into {directory} (once)")
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f"{directory.name}.partial-") as partial:
            complete = Path(partial) / "complete"
            _fetch(maven, complete)
            complete.rename(directory)
    return directory


def _fetch(maven: str, target: Path) -> None:
    target.mkdir(mode=0o755)
    pom = target / "pom.xml"
    pom.write_bytes(RESOURCES.joinpath("pom.xml").read_bytes())
    command = [
        *(maven, "--batch-mode", "--no-transfer-progress", "--strict-checksums", "--file", str(pom)),
        *("dependency:copy-dependencies", f"-DoutputDirectory={target / 'jars'}", "-DincludeScope=runtime"),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=MAVEN_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EmbeddedServerError(
            f"Maven did not fetch Kafka's jars within {MAVEN_SECONDS_MAX:.0f} s. Check the network and try again."
        ) from None
    if done.returncode != 0:
        tail = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-OUTPUT_TAIL_LINES:])
        raise EmbeddedServerError(
            f"Maven could not fetch Kafka's jars (exit {done.returncode}). Check the network.\n{tail}"
        )
    _verify(target / "jars")


def _verify(jars: Path) -> None:
    listing = RESOURCES.joinpath("jars.sha256").read_text().splitlines()
    expected = {name: digest for digest, name in (line.split() for line in listing)}
    actual = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.iterdir()}
    wrong = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    if wrong:
        raise EmbeddedServerError(
            f"Maven gave other jars than this release was made with: {', '.join(wrong)}. "
            "Nothing was kept. Empty Maven's local repository and try again."
        )


def find_java() -> str:
    """The path of a Java that Kafka runs on. Raises SetupError when there is none."""
    home = os.environ.get("JAVA_HOME")
    candidate = Path(home) / "bin" / "java" if home else None
    java = str(candidate) if candidate is not None and candidate.exists() else shutil.which("java")
    advice = f"Kafka needs Java {JAVA_VERSION_MIN} or later: apt-get install openjdk-17-jre-headless maven"
    if java is None:
        raise SetupError(f"Java is not installed. {advice}")
    try:
        told = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=JAVA_SECONDS_MAX, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"{java} -version failed: {error}. {advice}") from error
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version.group(1)) < JAVA_VERSION_MIN:
        raise SetupError(f"{java} is too old ({told.splitlines()[0] if told else 'no version told'}). {advice}")
    return java


def main() -> int:
    """Fetch what the embedded Kafka needs; the exit code of the command."""
    try:
        find_java()
        print(prepare(lambda line: print(line, file=sys.stderr)))
    except EmbeddedServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
