"""A progress bar on a terminal; nothing where there is none."""

import time
from types import TracebackType
from typing import BinaryIO, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

_REFRESH_SECONDS = 0.1


class Progress:
    """Shows how far a stream has been read (in bytes, where its size is known) and how many records were sent."""

    def __init__(self, stream: BinaryIO, errors: TextIO) -> None:
        self._stream = stream if stream.seekable() else None
        self._next_seconds = 0.0
        self._bar = RichProgress(
            TextColumn("{task.fields[sent]:,} sent"),
            BarColumn(),
            *([TaskProgressColumn()] if self._stream else []),
            TimeElapsedColumn(),
            console=Console(file=errors),
            disable=not errors.isatty(),
            transient=True,
        )
        self._task = self._bar.add_task("sending", total=self._size_bytes(), sent=0)

    def _size_bytes(self) -> int | None:
        if self._stream is None:
            return None
        here = self._stream.tell()
        end = self._stream.seek(0, 2)
        self._stream.seek(here)
        return end

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, sent: int) -> None:
        """Show that `sent` records have been sent; cheap enough to call for each."""
        if self._bar.disable or time.monotonic() < self._next_seconds:
            return
        self._next_seconds = time.monotonic() + _REFRESH_SECONDS
        completed = self._stream.tell() if self._stream is not None else 0
        self._bar.update(self._task, completed=completed, sent=sent)
