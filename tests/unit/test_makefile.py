"""What the Makefile says to whoever runs it."""

import re
from pathlib import Path

MAKEFILE = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")


def test_the_column_of_help_is_wider_than_the_longest_target() -> None:
    (width,) = re.findall(r"printf '%-(\d+)s %s", MAKEFILE)
    targets = re.findall(r"^([a-z]+):[^#\n]*## ", MAKEFILE, flags=re.MULTILINE)
    assert "dashboards" in targets
    assert int(width) >= max(len(f"make {target}") for target in targets)


def test_setup_tells_of_its_long_step_before_it() -> None:
    """It was silent for a minute."""
    told, installed = (
        MAKEFILE.index("installing the pinned packages, about a minute"),
        MAKEFILE.index("--require-hashes"),
    )
    assert told < installed
