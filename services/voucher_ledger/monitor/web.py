"""The monitor's own web server: the live page, its data, metrics and health. It serves what the last round found."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

import orjson
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from voucher_ledger.monitor import view
from voucher_ledger.monitor.outlook import Outlook
from voucher_ledger.monitor.watch import Watch
from voucher_ledger.runtime.settings import PREFIX, SettingsError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PAGE = files("voucher_ledger.monitor") / "page"
# What the page is made of; nothing comes from elsewhere, and the policy below holds a browser to that.
ASSETS = {
    "": ("index.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "figures.js": ("figures.js", "text/javascript"),
    "charts.js": ("charts.js", "text/javascript"),
    "uplot.js": ("uplot/uPlot.iife.min.js", "text/javascript"),
    "uplot.css": ("uplot/uPlot.min.css", "text/css"),
}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_WATCH = web.AppKey("watch", Watch)
_REGISTRY = web.AppKey("registry", CollectorRegistry)


class _InFull:
    """Campaigns as JSON, each worked out once a round: by the event loop that counts demand, however many look on."""

    def __init__(self) -> None:
        self._round_at = float("-inf")
        self._found: dict[str, orjson.Fragment | None] = {}
        self._failed: set[str] = set()

    def of(self, watch: Watch, outlook: Outlook) -> orjson.Fragment | None:
        """A campaign of the last round; None where that failed, which must not take the others from the page."""
        if watch.round_at != self._round_at:
            self._round_at, self._found = watch.round_at, {}
        name = outlook.campaign_id
        if name not in self._found:
            self._found[name] = self._draw(watch, outlook)
        return self._found[name]

    def _draw(self, watch: Watch, outlook: Outlook) -> orjson.Fragment | None:
        name = outlook.campaign_id
        try:
            drawn = orjson.Fragment(orjson.dumps(view.in_full(outlook, watch.kept().get(name, {}))))
        except Exception:
            # Once until it is drawn again: the page asks each second.
            if name not in self._failed:
                log.exception("a campaign cannot be shown", campaign=name)
            self._failed.add(name)
            return None
        self._failed.discard(name)
        return drawn


_IN_FULL = web.AppKey("in_full", _InFull)

log = structlog.get_logger()


def application(watch: Watch, registry: CollectorRegistry) -> web.Application:
    """The web application; it changes nothing."""
    made = web.Application()
    made[_WATCH] = watch
    made[_REGISTRY] = registry
    made[_IN_FULL] = _InFull()
    made.router.add_get("/state.json", _state)
    made.router.add_get("/metrics", _metrics)
    made.router.add_get("/healthz", _healthz)
    made.router.add_get("/readyz", _readyz)
    for path, (name, content_type) in ASSETS.items():
        made.router.add_get(f"/{path}", _asset((_PAGE / name).read_bytes(), content_type))
    return made


async def serve(made: web.Application, address: str) -> web.AppRunner:
    """Listen on `address` (host:port); `cleanup` the runner at the end. Raises SettingsError where that fails."""
    host, _, port = address.rpartition(":")
    runner = web.AppRunner(made, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port)).start()
    except OSError as error:
        await runner.cleanup()
        raise SettingsError(f"{PREFIX}MONITOR_ADDRESS: cannot listen on {address}: {error.strerror}") from error
    return runner


def _asset(body: bytes, content_type: str) -> Handler:
    async def respond(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return respond


async def _state(request: web.Request) -> web.Response:
    """All campaigns in short and one in full: `?campaign=ID`, without it the first of the list."""
    watch = request.app[_WATCH]
    state = watch.overview()
    wanted = request.query.get("campaign")
    if wanted is None and state["campaigns"]:
        wanted = state["campaigns"][0]["campaign_id"]
    outlook = watch.outlooks.get(wanted or "")
    state["campaign"] = None if outlook is None else request.app[_IN_FULL].of(watch, outlook)
    is_failed = outlook is not None and state["campaign"] is None
    state["campaign_problem"] = f"{wanted} cannot be shown: the monitor's log says why" if is_failed else None
    state["crossing"] = watch.crossing.as_json(wanted or "")
    return web.Response(body=orjson.dumps(state), content_type="application/json", headers=_HEADERS)


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(request.app[_REGISTRY]), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _healthz(request: web.Request) -> web.Response:
    return _told(None if request.app[_WATCH].is_alive() else "no round for too long")


async def _readyz(request: web.Request) -> web.Response:
    return _told(request.app[_WATCH].why_not_ready())


def _told(problem: str | None) -> web.Response:
    return web.Response(status=200 if problem is None else 503, text=f"{problem or 'ok'}\n")
