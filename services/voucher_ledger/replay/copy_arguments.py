"""The arguments of `voucher-ledger replay copy`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger.replay.letter_filter_arguments import Apply, AsJson, Reason, asked, bounds_of, needs_reason
from voucher_ledger.replay.manual import manual
from voucher_ledger.runtime import settings

COPY = manual("""
Copy a range of topics into other topics or another cluster, at the times of the originals or a factor sooner: the
rehearsal of last night.

Kept: values, keys, headers, partitions, the order in each, and how far apart records were, over all topics given
(--from-topic and --to-topic go in pairs, and may be repeated). --speed 10 makes ten minutes one; --speed 0 copies as
fast as it goes. Record times are the originals' where the target topic takes its producers' (CreateTime), so that a
rehearsal decides as last night did; --times now sends the present ones.

Every copy is tagged: headers rehearsal (the --name) and rehearsal_source (topic/partition/offset of its original), and
the CloudEvents extension attribute rehearsal. What is tagged is never copied again.

Orders name vouchers, and vouchers are named by the places of their claims: where claim.commands is among the topics
copied, orders and expiries name the vouchers of the copied claims.

What keeps it from live books: events and ledger.* are no targets, and command topics of the cluster that is copied
from (VOUCHER_LEDGER_KAFKA) only with --campaign-prefix, which is put before the ids of campaigns, orders, payments and
refunds, and of vouchers that were not copied. Such a copy opens its own campaign, from the copied campaign.commands or
by hand. Which of two clusters is the live one, no program can tell: command topics of another one (--to-kafka), without
a prefix, need its id by --target-cluster. The dry run prints it; compare it with that of the cluster you mean.

--pseudonyms KEYFILE (or --pseudonyms-env NAME) replaces user ids in keys and in data.user_id by u- and an HMAC-SHA256
under that key (at least 16 bytes), device ids by d- and one: the same user has the same name in every topic. Values
that are no commands with a user become as many x. Other fields and headers are not looked into.

A copy is exactly one: it is sent in transactions, and the same command with the same --name goes on after the last
committed copy, which the copies themselves tell. A record before that copy that has none is of another range, which
is refused: give it another --name. For that, going on begins with reading the copies and their originals once more, as
fast as they come (--rate is that of copying). The live groups are not touched.
""")


class Times(StrEnum):
    """Which timestamps copies carry."""

    ORIGINAL = "original"
    NOW = "now"


def copy(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="The rehearsal: a-z, 0-9 and -, at most 40. The same name goes on.")],
    from_topic: Annotated[list[str], typer.Option(help="Copy this topic; may be repeated.")],
    to_topic: Annotated[list[str], typer.Option(help="Into this one; the n-th goes with the n-th --from-topic.")],
    to_kafka: Annotated[
        str | None, typer.Option(metavar="BOOTSTRAP", help="Into another cluster (default: the same).")
    ] = None,
    target_cluster: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only if the target's cluster has this id, which the dry run prints."),
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="From this record time or offset on.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Up to, not including, this time or offset.")] = None,
    partition: Annotated[list[int] | None, typer.Option(help="Only this partition; may be repeated.")] = None,
    speed: Annotated[float, typer.Option(min=0, max=1_000_000, help="How many times as fast; 0: as it goes.")] = 1.0,
    times: Annotated[Times, typer.Option(help="Timestamps of the copies.")] = Times.ORIGINAL,
    rate: Annotated[float | None, typer.Option(min=0.001, help="At most so many records a second.")] = None,
    count_max: Annotated[int | None, typer.Option("--max", min=1, help="At most so many records in this run.")] = None,
    campaign_prefix: Annotated[str | None, typer.Option(help="Such as rehearsal-: puts it before ids.")] = None,
    pseudonyms: Annotated[Path | None, typer.Option(metavar="KEYFILE", help="Pseudonymise users.")] = None,
    pseudonyms_variable: Annotated[
        str | None,
        typer.Option("--pseudonyms-env", metavar="NAME", help="The same, with the key in this environment variable."),
    ] = None,
    apply: Apply = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Copy a range of topics into other topics or another cluster, at the times of the originals or a factor sooner."""
    from voucher_ledger.replay.copying import command
    from voucher_ledger.replay.copying.pairs import NAME, pairs
    from voucher_ledger.replay.errors import ended

    needs_reason(apply, reason)
    if not NAME.fullmatch(name):
        raise typer.BadParameter("a-z, 0-9 and -, at most 40, begun by a letter or digit", param_hint="--name")
    if campaign_prefix is not None and not (campaign_prefix.isprintable() and 1 <= len(campaign_prefix) <= 40):
        raise typer.BadParameter("1 to 40 printable characters", param_hint="--campaign-prefix")
    try:
        copied = pairs(from_topic, to_topic)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from-topic") from error
    request = command.Request(
        name, copied, *bounds_of(since, until), frozenset(partition or ()), to_kafka,
        target_cluster, speed, rate, count_max, campaign_prefix, _key(pseudonyms, pseudonyms_variable),
        times is Times.ORIGINAL,
    )  # fmt: skip
    loaded = settings.load()
    raise typer.Exit(
        ended(lambda: command.run(loaded, request, apply=apply, reason=reason, arguments=asked(context), json=as_json))
    )


def _key(path: Path | None, variable: str | None) -> bytes | None:
    """The key of the pseudonyms; it is never shown and never written to the journal."""
    from voucher_ledger.replay.copying.rewrite import PSEUDONYM_KEY_BYTES_MIN

    if path is not None and variable is not None:
        raise typer.BadParameter("give one of --pseudonyms and --pseudonyms-env", param_hint="--pseudonyms")
    if variable is not None:
        key = os.environ.get(variable, "").encode()
    elif path is not None:
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            raise typer.BadParameter(f"cannot read {path}: {error.strerror}", param_hint="--pseudonyms") from error
    else:
        return None
    if len(key) < PSEUDONYM_KEY_BYTES_MIN:
        raise typer.BadParameter(f"a key has {PSEUDONYM_KEY_BYTES_MIN} bytes or more", param_hint="--pseudonyms")
    return key
