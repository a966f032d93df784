"""The live page with its state, styles and scripts in one file. Pure, but for the page's own files."""

import re
from importlib.resources import files
from typing import Any

import orjson

_PAGE = files("voucher_ledger.monitor") / "page"
_FILES = {
    "/page.css": "page.css",
    "/uplot.css": "uplot/uPlot.min.css",
    "/uplot.js": "uplot/uPlot.iife.min.js",
    "/figures.js": "figures.js",
    "/charts.js": "charts.js",
    "/page.js": "page.js",
}


def page(state: dict[str, Any], title: str) -> str:
    """A page that needs nothing else; `state` is as the monitor's /state.json gives it."""
    text = (_PAGE / "index.html").read_text(encoding="utf-8")
    # In a script, the end tag and comments alone are special: with "<" written otherwise there are none.
    data = orjson.dumps(state).decode().replace("<", "\\u003c")
    text = text.replace("<main>", f'<script type="application/json" id="state">{data}</script>\n<main>')
    text = text.replace("<h1>Peak hour</h1>", f"<h1>{_escaped(title)}</h1>")
    text = re.sub(r'<link rel="stylesheet" href="([^"]+)">', lambda found: f"<style>{_file(found[1])}</style>", text)
    return re.sub(r'<script src="([^"]+)"></script>', lambda found: f"<script>{_file(found[1])}</script>", text)


def _file(path: str) -> str:
    return (_PAGE / _FILES[path]).read_text(encoding="utf-8").replace("</script", "<\\/script")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
