"""`python -m deploy.screenshots`: plays the demo and photographs its live page and report into docs/images.

Needs Chromium. What it shows is what the programs draw: nothing is made up or touched up.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
# The flags that a container without a display, a GPU and user namespaces needs.
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
# By the page's own clock, which stands still while it waits for an answer.
DRAWN_MS = 6_000
# A page without its figures takes 40 to 50 kB.
PICTURE_BYTES_MIN = 100_000
READY_SECONDS_MAX = 90.0
PAGE = "http://127.0.0.1:8081"
LEDGER = (sys.executable, "-m", "voucher_ledger")
DARK = "--blink-settings=preferredColorScheme=0"
# Of what, how wide and high in pixels, and with what else the browser is told.
VIEWS = {
    "live-page.png": (PAGE, 1_280, 1_620, ()),
    "live-page-dark.png": (PAGE, 1_280, 1_620, (DARK,)),
    "live-page-phone.png": (PAGE, 500, 3_000, ()),
    "report.png": ("report", 1_280, 1_620, ()),
}


def photograph(browser: str, url: str, target: Path, width: int, height: int, *more: str) -> None:
    """Write a picture of `url`. Raises CalledProcessError where the browser fails, RuntimeError where it drew none or
    none of its figures.
    """
    with tempfile.TemporaryDirectory() as profile:
        size = f"--window-size={width},{height}"
        drawn = (f"--virtual-time-budget={DRAWN_MS}", f"--screenshot={target}")
        command = [browser, *FLAGS, f"--user-data-dir={profile}", size, *more, *drawn, url]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    if not target.exists():
        raise RuntimeError(f"{browser} wrote no {target}")
    if target.stat().st_size < PICTURE_BYTES_MIN:
        raise RuntimeError(f"{target} is a picture of a page without its figures: try again")


def await_ready() -> None:
    """Return once the monitor has counted the day. Raises TimeoutError."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{PAGE}/readyz", timeout=5):  # noqa: S310 (this machine's own page)
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"{PAGE}/readyz was not ready within {READY_SECONDS_MAX:.0f} s")


def main() -> None:
    """Play, photograph, stop."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("screenshots: no Chromium here: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        directory = Path(scratch) / "demo"
        subprocess.run(
            [*LEDGER, "demo", "--keep", "--dir", directory, "--claims", "60000", "--cards", "10000"], check=True
        )
        try:
            told = subprocess.run([*LEDGER, "dev", "up", "--dir", directory], check=True, stdout=subprocess.PIPE)
            addresses = json.loads(told.stdout)
            names = {"VOUCHER_LEDGER_KAFKA": "kafka", "VOUCHER_LEDGER_POSTGRES": "postgres"}
            environment = {**os.environ, **{name: addresses[key] for name, key in names.items()}}
            report = Path(scratch) / "report.html"
            subprocess.run(
                [*LEDGER, "report", "--campaign", "grey-release", "--out", report], check=True, env=environment
            )
            monitor = subprocess.Popen([*LEDGER, "run", "monitor"], env=environment)
            try:
                await_ready()
                for name, (of, width, height, more) in VIEWS.items():
                    url = report.as_uri() if of == "report" else of
                    photograph(browser, url, IMAGES / name, width, height, *more)
                    print(IMAGES / name)
            finally:
                monitor.terminate()
                monitor.wait(30)
        finally:
            subprocess.run([*LEDGER, "dev", "down", "--dir", directory], check=True)


if __name__ == "__main__":
    main()
