"""`python -m deploy.grafana`: writes dashboards/*.json anew, which are committed, for Grafana reads nothing else."""

import json
from pathlib import Path
from typing import Any

from deploy.grafana import audit, campaign, peak_hour, pipeline, runbook_board, verticals

FOLDER = Path(__file__).parent / "dashboards"


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by its file's name."""
    made = [module.build() for module in (peak_hour, campaign, verticals, pipeline, audit, runbook_board)]
    return {f"{one['uid'].removeprefix('voucher-ledger-')}.json": one for one in made}


def text_of(one: dict[str, Any]) -> str:
    """The file's content."""
    return json.dumps(one, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every file."""
    for name, one in dashboards().items():
        (FOLDER / name).write_text(text_of(one), encoding="utf-8")


if __name__ == "__main__":
    main()
