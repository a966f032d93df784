"""The help of a verb as a manual page: its docstring, with each paragraph on one line for the terminal to wrap."""

from inspect import cleandoc

# What a verb that only reads says when it is interrupted.
NOTHING_CHANGED = "nothing was changed"


def manual(docstring: str | None) -> str:
    """The paragraphs of a docstring, for typer's `help`."""
    paragraphs = cleandoc(docstring or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)
