"""The options of the verbs that read whole topics, beside live traffic or not."""

from typing import Annotated

import typer

ReadRate = Annotated[
    float | None,
    typer.Option("--rate", min=1, help="Read at most so many records a second: a live broker has other readers."),
]
