"""How a processor may fail, told apart by what is to be done about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from confluent_kafka import KafkaError, KafkaException

_PASSING = frozenset([KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT])

_ROLE = re.compile(r"voucher_ledger_(writer|reader|operator)")
_VIEW = re.compile(r"\b(schema ledger|view)\b")


class Unreachable(Exception):
    """Kafka or Postgres does not answer (exit code 3)."""


class NotSetUp(Exception):
    """Topics, tables, roles or rights that this version needs are not there: a person makes them (exit code 2)."""


def without_tables(cause: Exception) -> NotSetUp:
    """The error where Postgres knows no table, column or role of that name, or refuses it to this login."""
    lacking = str(cause).strip().partition("\n")[0]
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return NotSetUp(f"this login may not: {lacking}: GRANT {_role_for(lacking)} TO <login>")
    hint = "run `voucher-ledger migrate` first, and grant its roles to this login"
    return NotSetUp(f"the database lacks what this version needs: {lacking}: {hint}")


def _role_for(refusal: str) -> str:
    """The least of our roles that may what Postgres refuses: the one that was to be taken, else by what is read."""
    named = _ROLE.search(refusal)
    if named is not None:
        return named[0]
    return "voucher_ledger_reader" if _VIEW.search(refusal) else "voucher_ledger_operator"


@contextmanager
def asking_kafka(kafka: str) -> Iterator[None]:
    """Raises Unreachable where the client of Kafka (at `kafka`) raises a KafkaException."""
    try:
        yield
    except KafkaException as error:
        raise Unreachable(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error


class SessionLost(Exception):
    """Connection, producer or partitions are lost: leave everything, start a new session and recover."""


class TakenOver(SessionLost):
    """The ledger's position or epoch is not what this process holds: another has taken the partition over."""


class Fenced(SessionLost):
    """Kafka refused this instance's name or transactional id: another has it, or Kafka itself gave this one up (after a
    pause, or a broker's crash). The next session begins only if this process still holds the name in Postgres.
    """


class Inconsistent(Exception):
    """Positions, offsets, outbox or topics contradict each other: a person must look before anything is decided."""


def made_anew(topic: str, topic_id: str, known_id: str) -> str:
    """What to say of a command topic that was deleted and made again: the ledger knows it by `known_id`."""
    return (
        f"{topic} was made anew (topic id {topic_id}, the ledger knows {known_id}): its offsets mean other records "
        "now, so nothing of it may be decided by this ledger. Restore the topic, or begin with an empty ledger and new "
        "groups (what was decided stays in this one, to read and to audit)"
    )


def is_passing(error: KafkaError) -> bool:
    """Whether the client gets over this error by itself."""
    return error.code() in _PASSING or bool(error.retriable())


def is_fenced(error: KafkaError) -> bool:
    """Whether a producer's error says that another has its transactional id, or that the coordinator gave it up."""
    return error.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)


def lost(error: KafkaError) -> Exception:
    """What an error of a room's consumer means for its session."""
    if error.fatal() or error.code() in (KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL):
        return Fenced(f"this instance was fenced: {error.str()}")
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        return Inconsistent(f"the position is no longer in the topic: {error.str()}")
    return SessionLost(f"Kafka: {error.str()}")
