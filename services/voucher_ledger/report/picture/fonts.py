"""Which of the installed fonts draw the picture, and what no font could draw."""

import logging
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger()

# Matplotlib brings it along, so it is there always.
PLAIN = "DejaVu Sans"
# The first of these that is installed draws what PLAIN has not; those with simplified forms come first.
CHINESE = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "Microsoft YaHei", "PingFang SC",
    "Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Heiti SC", "SimHei", "Noto Sans CJK JP",
    "Noto Sans CJK TC", "Noto Sans CJK HK", "Noto Sans CJK KR", "Noto Serif CJK SC", "Droid Sans Fallback",
    "AR PL UMing CN", "Arial Unicode MS",
)  # fmt: skip
_MISSING = re.compile(r"Glyph (\d+) .*missing from")


def families(installed: Collection[str]) -> list[str]:
    """The families to draw with, in the order in which each glyph is looked for.

    PLAIN is first, so that figures and lines have the same widths wherever the picture is drawn.
    """
    return [PLAIN, *[name for name in CHINESE if name in installed][:1]]


@contextmanager
def one_line_at_most() -> Iterator[None]:
    """While something is drawn: one line of the log for all glyphs that no font has. Other warnings stay as they are.

    Matplotlib warns of each such glyph at each measure, and logs each weight that a family does not come in.
    """
    searching = logging.getLogger("matplotlib.font_manager")
    level = searching.level
    try:
        searching.setLevel(logging.ERROR)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        searching.setLevel(level)
    _tell(caught)


def _tell(caught: Iterable[warnings.WarningMessage]) -> None:
    missing = set()
    for warning in caught:
        found = _MISSING.match(str(warning.message))
        if found is None:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        else:
            missing.add(int(found[1]))
    if missing:
        log.warning(
            "no installed font has some characters of the picture: they are boxes in it",
            characters=len(missing),
            first=f"U+{min(missing):04X}",
            hint="install a font for them, e.g. Noto Sans CJK",
        )
