"""docs/RUNBOOKS.md as a dashboard, so that a link from a panel leads to what to do without leaving Grafana."""

import re
from pathlib import Path

RUNBOOKS = Path(__file__).resolve().parents[2] / "docs" / "RUNBOOKS.md"
ADDRESS = "/d/voucher-ledger-runbooks"


def sections() -> dict[str, str]:
    """The text of each section by its title, in the file's order."""
    parts = re.split(r"^## (.+)$", RUNBOOKS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {title.strip(): text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)}


def anchor(title: str) -> str:
    """The section's place in the file, as those who show Markdown name it."""
    return re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")


def link_of(title: str | None = None) -> str:
    """Where Grafana shows a section alone, or all of them. Raises ValueError where there is no such section."""
    if title is None:
        return ADDRESS
    return f"{ADDRESS}?viewPanel={[*sections()].index(title) + 1}"
