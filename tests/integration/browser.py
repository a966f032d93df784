"""A headless Chromium with one page, spoken to by its DevTools protocol: scripts in, values out."""

import asyncio
import shutil
import subprocess
import tempfile
from contextlib import AsyncExitStack
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from tests.integration.broker import WAIT_SECONDS_MAX

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# The flags that a container without a display, a GPU and user namespaces needs.
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")


# What the protocol says where the page went elsewhere while a promise of it was awaited.
LEFT = ("Inspected target navigated or closed", "Execution context was destroyed.")
LEFT_TIMES_MAX = 5


class PageLeft(Exception):
    """The page that was asked is gone, and another is in its place."""


class Browser:
    """Opens `url`; ends the browser when left."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._opened = AsyncExitStack()
        self._sent = 0

    def __enter__(self) -> Self:
        assert CHROMIUM is not None
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._loop.run_until_complete(asyncio.wait_for(self._connect(), WAIT_SECONDS_MAX))
            self.call("Page.navigate", url=self._url)
        except BaseException:
            self.__exit__()  # nobody leaves what was not entered
            raise
        return self

    def __exit__(self, *_raised: object) -> None:
        self._loop.run_until_complete(self._opened.aclose())
        self._process.kill()
        self._process.communicate()
        self._loop.close()
        self._profile.cleanup()

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript condition holds in the page, or in the one that comes after it."""
        look = f"if ({condition}) {{ clearInterval(timer); resolve(); }}"
        for _ in range(LEFT_TIMES_MAX):
            try:
                self.evaluate(f"new Promise((resolve) => {{ const timer = setInterval(() => {{ {look} }}, 50); }})")
                return
            except PageLeft:
                continue
        raise AssertionError(f"the page was left {LEFT_TIMES_MAX} times before {condition}")

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a method of the protocol."""
        return self._loop.run_until_complete(asyncio.wait_for(self._call(method, parameters), WAIT_SECONDS_MAX))

    async def _connect(self) -> None:
        assert self._process.stderr is not None
        while b"DevTools listening" not in (line := await asyncio.to_thread(self._process.stderr.readline)):
            assert line, "the browser ended"
        address = urlsplit(line.split()[-1].decode()).netloc
        session = await self._opened.enter_async_context(aiohttp.ClientSession())
        async with session.get(f"http://{address}/json") as answer:
            page = next(target for target in await answer.json() if target["type"] == "page")
        # Closed as well: a session that is closed leaves the connection of a socket open until it is collected.
        connecting = session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
        self._socket = await self._opened.enter_async_context(connecting)

    async def _call(self, method: str, parameters: dict[str, Any]) -> Any:
        self._sent += 1
        await self._socket.send_json({"id": self._sent, "method": method, "params": parameters})
        while (answer := await self._socket.receive_json()).get("id") != self._sent:
            pass  # an event
        if answer.get("error", {}).get("message") in LEFT:
            raise PageLeft
        assert "error" not in answer, answer
        return answer["result"]
