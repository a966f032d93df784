"""How the verbs print: tables for people, or one JSON object."""

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

import orjson
from rich.console import Console

from voucher_ledger.core.clock import rfc3339_of
from voucher_ledger.run.exit_codes import ExitCode


class Judged(Protocol):
    """A report that says whether all is well."""

    @property
    def passed(self) -> bool:
        """Whether it is."""

    def to_json(self) -> str:
        """One JSON object."""


Report = TypeVar("Report", bound=Judged)


def console() -> Console:
    """Tables go to standard output; where nothing says how wide that is, lines are as long as they need."""
    return Console() if sys.stdout.isatty() else Console(width=160)


def json_text(document: dict[str, Any]) -> str:
    """One JSON object on one line, with times from Postgres in the form that records' times have."""
    return orjson.dumps(document, default=_time_text, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def _time_text(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339_of(value)
    raise TypeError


def told(report: Report, show: Callable[[Report, Console], None], *, json: bool) -> int:
    """Print a report, by `show` or as JSON; 0 where it has passed, else 1."""
    if json:
        sys.stdout.write(report.to_json() + "\n")
    else:
        show(report, console())
    return ExitCode.DONE if report.passed else ExitCode.CHECK_FAILED
