"""*Runbooks*: docs/RUNBOOKS.md, a panel a section."""

from typing import Any

from grafana_foundation_sdk.builders import text
from grafana_foundation_sdk.models.text import TextMode

from deploy.grafana.board import board
from deploy.grafana.runbooks import sections


def build() -> dict[str, Any]:
    """The dashboard as JSON; the panels' numbers are the sections' places, which runbooks.link_of names."""
    panels = [
        text.Panel().title(title).mode(TextMode.MARKDOWN).content(content).span(12).height(12)
        for title, content in sections().items()
    ]
    made = board("runbooks", "Runbooks", "What to do about each alert: docs/RUNBOOKS.md.", panels)
    # A text has no time: nothing to ask again, nothing to mark.
    return {**made, "annotations": {"list": []}, "refresh": ""}
