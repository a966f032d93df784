"""One process's metrics, made from the catalogue."""

import platform

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from voucher_ledger import __version__
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics.metric import Metric
from voucher_ledger.metrics.readiness import Readiness


def process_registry(room: str, readiness: Readiness) -> CollectorRegistry:
    """A registry with what every process has: build, readiness, and the process's own CPU, memory and garbage."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    # Values as labels of a gauge that is 1, as Prometheus does it itself.
    gauge(registry, catalogue.BUILD).labels(__version__, platform.python_version()).set(1)
    gauge(registry, catalogue.READY).labels(room).set_function(lambda: float(readiness.verdict()[0]))
    return registry


def counter(registry: CollectorRegistry, metric: Metric) -> Counter:
    """The counter of the catalogue's entry."""
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(registry: CollectorRegistry, metric: Metric) -> Gauge:
    """The gauge of the catalogue's entry."""
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


def histogram(registry: CollectorRegistry, metric: Metric) -> Histogram:
    """The histogram of the catalogue's entry."""
    return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)
