"""A progress bar on a terminal; nothing where there is none."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from rich import progress as columns
from rich.console import Console

_REFRESH_SECONDS = 0.1


class Drawn:
    """A bar with what is done before it and `shown` behind it, on a terminal, from entering to leaving."""

    def __init__(self, doing: str, total: int | None, *shown: columns.ProgressColumn, errors: TextIO) -> None:
        self._bar = columns.Progress(
            columns.TextColumn("{task.description}"),
            columns.BarColumn(),
            *shown,
            console=Console(file=errors),
            disable=not errors.isatty(),
            transient=True,
        )
        self._task = self._bar.add_task(doing, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class Bar(Drawn):
    """Shows on standard error how many of `total` are done (None: it is not known how many there are)."""

    def __init__(self, doing: str, total: int | None) -> None:
        counts = (columns.MofNCompleteColumn(), columns.TimeElapsedColumn(), columns.TimeRemainingColumn())
        super().__init__(doing, total, *counts, errors=sys.stderr)
        self._next_seconds = 0.0
        self._done = 0
        self._total = total

    def update(self, done: int) -> None:
        """Show that `done` are done; cheap enough to call for each."""
        if self._bar.disable or time.monotonic() < self._next_seconds:
            return
        self._next_seconds = time.monotonic() + _REFRESH_SECONDS
        self._bar.update(self._task, completed=done)

    def expect(self, count: int) -> None:
        """Show that there are `count` more than was known."""
        self._total = (self._total or 0) + count
        self._bar.update(self._task, total=self._total)

    def advance(self, count: int) -> None:
        """Show that `count` more are done."""
        self._done += count
        self.update(self._done)

    def turn_to(self, doing: str) -> None:
        """Show that all that was counted is done, and what is done now."""
        self._bar.update(self._task, description=doing, completed=self._total or 0, refresh=True)
