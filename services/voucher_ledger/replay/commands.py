"""`voucher-ledger replay`: a verb a module. Its arguments are in `<verb>_arguments.py`, registered here by one line."""

import typer

from voucher_ledger.replay.copy_arguments import COPY, copy
from voucher_ledger.replay.dead_letters_arguments import app as dead_letters_app
from voucher_ledger.replay.manual import manual
from voucher_ledger.replay.operations_arguments import operations
from voucher_ledger.replay.rebuild_arguments import rebuild
from voucher_ledger.replay.seal_arguments import seal
from voucher_ledger.replay.seek_arguments import SEEK, seek
from voucher_ledger.replay.trace_arguments import trace
from voucher_ledger.replay.verify_arguments import verify
from voucher_ledger.replay.what_if_arguments import WHAT_IF, what_if

app = typer.Typer(
    help="What operators reach for after the night: prove, trace, rebuild and repair, from the topics and the ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

# Verbs that only read.
app.command(help=manual(verify.__doc__))(verify)
app.command(help=manual(seal.__doc__))(seal)
app.command(help=manual(trace.__doc__))(trace)
app.command()(operations)
app.command(help=WHAT_IF)(what_if)

# Verbs that change something: a dry run unless they are told --apply.
app.command(help=manual(rebuild.__doc__))(rebuild)
app.add_typer(dead_letters_app, name="dead-letters")
app.command(help=SEEK)(seek)
app.command(help=COPY)(copy)
