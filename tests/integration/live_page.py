"""The live page over a state that a test gives: what a monitor in trouble would answer, without one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from voucher_ledger.monitor.web import ASSETS

PAGE = files("voucher_ledger.monitor") / "page"


class LivePage:
    """`states` are answered by the campaign asked for, `None` where none is; `asked` are the campaigns, in order."""

    def __init__(self, states: dict[str | None, dict[str, Any]]) -> None:
        self.states = states
        self.asked: list[str | None] = []
        self.url = ""


@contextmanager
def served(**states: dict[str, Any]) -> Iterator[LivePage]:
    """A server of the page's files; `first` is the state of the campaign that the monitor opens on."""
    page = LivePage({None if name == "first" else name: state for name, state in states.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            if address.path == "/state.json":
                wanted = parse_qs(address.query).get("campaign", [None])[0]
                page.asked.append(wanted)
                self._answer(orjson.dumps(page.states.get(wanted, page.states[None])), "application/json")
                return
            name, content_type = ASSETS[address.path.removeprefix("/")]
            self._answer((PAGE / name).read_bytes(), content_type)

        def _answer(self, body: bytes, content_type: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
            """Silent: the browser asks each second."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        page.url = f"http://127.0.0.1:{server.server_port}/"
        try:
            yield page
        finally:
            server.shutdown()
            thread.join()
