"""Data directories that get their name only when they are whole: one with the right name is never half-made."""

import secrets
import shutil
from pathlib import Path


def begin(target: Path) -> Path:
    """A name beside `target` under which it can be made and then renamed; what earlier, killed makers left is removed.

    Each maker has a name of its own, since a program started by a killed one may still write under the old name.
    """
    for left in target.parent.glob(f"{target.name}.partial-*"):
        shutil.rmtree(left, ignore_errors=True)
    return target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")
