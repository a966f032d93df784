"""The one port of a process: /metrics for Prometheus, /healthz and /readyz for whoever restarts or routes."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from voucher_ledger.metrics.readiness import Readiness
from voucher_ledger.runtime.settings import METRICS_PORT, SettingsError

# Prometheus gives a scrape up after 10 s; a client that sends nothing must not hold a thread for ever.
REQUEST_SECONDS_MAX = 10.0

log = structlog.get_logger()


class MetricsServer:
    """Serves one process's metrics and health from a thread of its own, on all interfaces."""

    def __init__(self, port: int, registry: CollectorRegistry, readiness: Readiness) -> None:
        """Listen. Raises SettingsError where the port is taken."""
        handler = type("Handler", (_Handler,), {"registry": registry, "readiness": readiness})
        try:
            self._server = _Server(("", port), handler)
        except OSError as error:
            raise SettingsError(f"{METRICS_PORT}: port {port}: {error.strerror}") from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 (the base class's)
        """One line of the log, where the base class prints a traceback: whoever asked may have gone meanwhile."""
        log.info("a request for metrics failed", client=str(client_address), cause=repr(sys.exc_info()[1]))


class _Handler(BaseHTTPRequestHandler):
    registry: ClassVar[CollectorRegistry]
    readiness: ClassVar[Readiness]
    timeout = REQUEST_SECONDS_MAX
    server_version = "voucher-ledger"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, generate_latest(self.registry), CONTENT_TYPE_LATEST)
        elif path == "/healthz":
            self._answer_verdict(*self.readiness.alive())
        elif path == "/readyz":
            self._answer_verdict(*self.readiness.verdict())
        else:
            self._answer(404, b"/metrics, /healthz, /readyz\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """A scrape every few seconds is no news."""
        log.debug("metrics request", request=format % arguments)

    def _answer_verdict(self, is_good: bool, text: str) -> None:
        self._answer(200 if is_good else 503, f"{text}\n".encode())

    def _answer(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
