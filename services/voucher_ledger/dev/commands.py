"""`voucher-ledger dev up | down | status | env`: the embedded Kafka and Postgres from the command line."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger.dev import cluster
from voucher_ledger.dev.errors import EmbeddedServerError
from voucher_ledger.dev.presence import holds_cluster, located
from voucher_ledger.run import interrupts
from voucher_ledger.runtime.settings import PREFIX

DEFAULT_DIRECTORY = Path(".voucher-ledger")

app = typer.Typer(
    help="The embedded Kafka and Postgres.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)

Directory = Annotated[Path, typer.Option("--dir", help="Where the cluster's data, ports and logs are kept.")]


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _no_cluster(directory: Path) -> str:
    return f"no cluster in {located(directory)}; use --dir"


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except EmbeddedServerError as error:
        _progress(f"error: {error}")
        raise typer.Exit(error.exit_code) from error
    except PermissionError as error:
        _progress(f"error: {error.strerror}: {error.filename}. Run this as its owner or choose another --dir.")
        raise typer.Exit(2) from error


@app.command()
def up(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Start both servers, wait until they answer, and print their addresses as one line of JSON."""
    try:
        with interrupts.ended_by_signals(), _errors_told():
            endpoints = cluster.up(directory, _progress)
    except KeyboardInterrupt as error:
        word, code = interrupts.told(error)
        end = f"voucher-ledger dev down --dir {shlex.quote(str(located(directory)))}"
        _progress(f"{word}: what was started runs on; `{end}` ends it")
        raise typer.Exit(code) from None  # told of, so that interrupts.is_untold finds no Ctrl-C behind it
    print(endpoints.to_json(), flush=True)


@app.command()
def down(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Stop both servers; their data and ports are kept. Nothing happens where the directory holds no cluster."""
    with _errors_told():
        if not holds_cluster(directory):
            # No failure: scripts that clean up stop what may never have been started.
            _progress(_no_cluster(directory))
            return
        _progress(f"the cluster in {located(directory)}")
        cluster.down(directory, _progress)


@app.command()
def status(
    directory: Directory = DEFAULT_DIRECTORY,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell what runs. Exit code 0 when both servers do, 3 when one does not or the directory holds no cluster."""
    with _errors_told():
        found = cluster.status(directory)
        held = holds_cluster(directory)
    kafka = found.endpoints.kafka if found.endpoints is not None else None
    postgres = found.endpoints.postgres if found.endpoints is not None else None
    servers = {
        "kafka": {"address": kafka, "pid": found.kafka_pid},
        "postgres": {"address": postgres, "pid": found.postgres_pid},
    }
    if as_json:
        print(json.dumps({"running": found.running, "directory": str(located(directory)), **servers}))
    elif held:
        print(f"the cluster in {located(directory)}")
        for name, server in servers.items():
            state = f"runs (pid {server['pid']})" if server["pid"] is not None else "is down"
            print(f"{name:<9}{state}  {server['address'] or 'no address yet'}")
    if not held:
        _progress(_no_cluster(directory))
    raise typer.Exit(0 if found.running else 3)


@app.command("env")
def settings_lines(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Print both addresses as lines for a shell: eval "$(voucher-ledger dev env)". Exit code 3 where not both run."""
    with _errors_told():
        found = cluster.status(directory)
        held = holds_cluster(directory)
    if found.endpoints is None or not found.running:
        where = located(directory)
        up = f"voucher-ledger dev up --dir {shlex.quote(str(where))}"
        _progress(f"the cluster in {where} does not run whole: `{up}` starts it" if held else _no_cluster(directory))
        raise typer.Exit(3)
    print(f"export {PREFIX}KAFKA={shlex.quote(found.endpoints.kafka)}")
    print(f"export {PREFIX}POSTGRES={shlex.quote(found.endpoints.postgres)}")


if __name__ == "__main__":
    app()
