"""The `voucher-ledger` program: arguments in, one function called, errors told in one line with what to do."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger import __version__, help_text
from voucher_ledger.demo.arguments import demo
from voucher_ledger.dev.commands import app as dev_app
from voucher_ledger.plan.arguments import plan
from voucher_ledger.replay.commands import app as replay_app
from voucher_ledger.report.arguments import report
from voucher_ledger.run import failures, interrupts, pipes
from voucher_ledger.run.exit_codes import INTERRUPTED, ExitCode
from voucher_ledger.runtime import logs, settings
from voucher_ledger.runtime.errors import Unreachable

app = typer.Typer(
    help="An event-streaming voucher ledger: claims, orders and payments from Kafka into one ledger, exactly once.",
    epilog=help_text.epilog(),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(dev_app, name="dev")
app.add_typer(replay_app, name="replay")
app.command()(plan)
app.command()(report)
app.command()(demo)


class Process(StrEnum):
    """What `run` can run."""

    CAMPAIGNS = "campaigns"
    CLAIMS = "claims"
    ORDERS = "orders"
    PAYMENTS = "payments"
    SWEEPER = "sweeper"
    MONITOR = "monitor"
    ALL = "all"


class RecordTime(StrEnum):
    """Whose clock a record carries."""

    APPEND = "LogAppendTime"
    CREATE = "CreateTime"


def _print_version(asked: bool) -> None:
    if asked:
        print(f"voucher-ledger {__version__}")
        raise typer.Exit(ExitCode.DONE)


@app.callback()
def _before_any(
    version: Annotated[  # noqa: ARG001 (its callback acts)
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log retries and the Kafka client's troubles too.")
    ] = False,
) -> None:
    logs.configure(verbose=verbose)


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema; does nothing where it is there."""
    import psycopg

    from voucher_ledger.runtime import migrations, postgres

    with postgres.connect(settings.load().postgres, application="migrate") as connection:
        try:
            applied = migrations.migrate(connection)
        except psycopg.OperationalError as error:
            raise Unreachable(f"Postgres: {str(error).strip()}") from error
        except psycopg.Error as error:
            raise typer.Exit(failures.failed(error, ExitCode.USAGE)) from error
    print("\n".join(f"applied {name}" for name in applied) or "up to date")


@app.command()
def topics(
    record_time: Annotated[
        RecordTime | None,
        typer.Option(help="Timestamp type of command topics made now (default: topics.toml, LogAppendTime)."),
    ] = None,
) -> None:
    """Make the topics that are missing; tell where an existing one differs."""
    from voucher_ledger.runtime.topics import ensure_topics

    made, differences = ensure_topics(settings.load(), record_time=record_time)
    print("\n".join(f"made {name}" for name in made) or "all topics are there")
    for difference in differences:
        print(f"{difference.topic}: {difference.what} {difference.found}, topics.toml has {difference.wanted}")


@app.command()
def run(
    process: Process,
    instance: Annotated[
        str | None, typer.Option(help="With one room: a stable name; without it a free one is taken.")
    ] = None,
    claims: Annotated[
        int | None, typer.Option(min=1, max=64, help="With `all`: processes of the claims room (default: 1).")
    ] = None,
    no_monitor: Annotated[
        bool, typer.Option("--no-monitor", help="With `all`: leave the monitor out (it runs elsewhere, or not at all).")
    ] = False,
) -> None:
    """Run one room in this process, or all of them and the monitor, each in its own, until SIGTERM or Ctrl-C."""
    _refuse_idle_options(process, instance, claims, no_monitor)
    from voucher_ledger.run import command

    raise typer.Exit(command.run(process.value, instance=instance, claims=claims or 1, monitor=not no_monitor))


def _refuse_idle_options(process: Process, instance: str | None, claims: int | None, no_monitor: bool) -> None:
    """An option that `run` would not heed misleads whoever set it: three of four processes would be missing."""
    if claims is not None and process is not Process.ALL:
        why = f"only `run all` starts several processes; start `run {process}` once more for each"
        raise typer.BadParameter(why, param_hint="--claims")
    if no_monitor and process is not Process.ALL:
        raise typer.BadParameter("only `run all` starts the monitor beside others", param_hint="--no-monitor")
    if instance is None:
        return
    if process is Process.ALL:
        raise typer.BadParameter("names belong to single rooms; `run all` chooses its own", param_hint="--instance")
    if process is Process.MONITOR:
        raise typer.BadParameter("the monitor has no name: its place is in its consumer group", param_hint="--instance")
    if process is Process.SWEEPER:
        raise typer.BadParameter("a sweeper has no name: one acts, others stand by", param_hint="--instance")
    # To Kafka an empty name is none: the process would not be a static member, and its successor would wait.
    if not instance.isprintable() or not 1 <= len(instance) <= 128:
        raise typer.BadParameter("a name has 1 to 128 printable characters", param_hint="--instance")


@app.command()
def produce(
    source: Annotated[Path, typer.Argument(help="NDJSON, a command a line; - for standard input.")] = Path("-"),
    rate: Annotated[float | None, typer.Option(min=0.001, help="At most so many commands a second.")] = None,
    topic: Annotated[str | None, typer.Option(help="Take only commands of this topic.")] = None,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Report bad lines and go on.")] = False,
    event_time: Annotated[
        bool, typer.Option("--event-time", help="Use each command's time as its timestamp (topics with CreateTime).")
    ] = False,
    awaits: Annotated[
        bool, typer.Option("--await", help="Wait for the answers too: exit code 1 where a command was refused.")
    ] = False,
    await_seconds: Annotated[
        float | None, typer.Option(min=0.1, max=3_600, help="With --await: wait so long at most (default: 30).")
    ] = None,
) -> None:
    """Send commands from a file or a pipe, checked against their schemas, and await their delivery.

    Delivered is not decided: with --await each answer is printed (10,000 commands at most).
    """
    from voucher_ledger.produce import command

    if await_seconds is not None and not awaits:
        raise typer.BadParameter("only --await waits for answers", param_hint="--await-seconds")
    code = command.run(
        settings.load(), source, rate=rate, topic=topic, skip_invalid=skip_invalid, event_time=event_time,
        await_seconds=(await_seconds or command.AWAIT_SECONDS) if awaits else None,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command()
def simulate(
    claims: Annotated[int, typer.Option(min=1, help="Well-formed claims, repeated ones included.")] = 300_000,
    cards: Annotated[int, typer.Option(min=1, help="Vouchers of the campaign.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Which day; the same seed gives the same commands.")] = 1,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="At most so many of the day's commands a second; reactions on top.")
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="The campaign's id (default: one of its own).")] = None,
    voucher_ttl_s: Annotated[int, typer.Option(min=1, help="Seconds until a voucher expires.")] = 60,
    hold_ttl_s: Annotated[int, typer.Option(min=1, help="Seconds until an order's hold expires.")] = 5,
    await_expiries: Annotated[
        bool, typer.Option("--await-expiries", help="Go on until no voucher is open (needs the sweeper).")
    ] = False,
    record_times: Annotated[
        bool, typer.Option("--record-times", help="Records carry simulated timestamps (topics with CreateTime).")
    ] = False,
    wave: Annotated[
        int,
        typer.Option(min=1, max=2, help="2: four times the hotels, three times the flights, more from small cities."),
    ] = 1,
) -> None:
    """Play the campaign's day against the running processors: claimants, impatient users, orders, payments, rubbish."""
    from voucher_ledger.simulate import command

    code = command.run(
        settings.load(), claims=claims, cards=cards, seed=seed, rate=rate, campaign_id=campaign,
        voucher_ttl_s=voucher_ttl_s, hold_ttl_s=hold_ttl_s, await_expiries=await_expiries, record_times=record_times,
        wave=2 if wave == 2 else 1,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every second until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell positions, lag in records and seconds, balances, and how each campaign stands."""
    from voucher_ledger.status import command

    raise typer.Exit(command.run(settings.load(), watch=watch, json=as_json))


@app.command()
def audit(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Prove from SQL alone, in one snapshot and beside live traffic, that the books are right; exit code 1 if not."""
    from voucher_ledger.ledger import audit_command

    raise typer.Exit(audit_command.run(settings.load().postgres, as_json))


def main(arguments: list[str] | None = None) -> int:
    """Run the program; its exit code. Every failure is told on standard error, but a reader that went away."""
    return pipes.ended(lambda: _ended(arguments))


def _ended(arguments: list[str] | None) -> int:
    try:
        app(arguments)
    except SystemExit as stop:
        if interrupts.is_untold(stop):
            return failures.failed("interrupted", INTERRUPTED)
        raise
    except failures.FAILURES as error:
        return failures.failed(failures.text_of(error), failures.code_of(error))
    return ExitCode.DONE
