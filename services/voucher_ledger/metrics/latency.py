"""A histogram of many latencies at once: prometheus-client's own takes one a call, which a call a record would be."""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import Metric as Family
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from voucher_ledger.metrics.metric import Metric


class LatencyHistogram(Collector):
    """Latencies from record timestamps to a moment; a time later than the moment (another clock's) counts as none."""

    def __init__(self, metric: Metric, label_values: Sequence[str]) -> None:
        self._metric = metric
        self._label_values = tuple(label_values)
        self._bounds_ms = [round(bound_seconds * 1000) for bound_seconds in metric.buckets]
        self._lock = threading.Lock()
        self._counts = [0] * len(metric.buckets)
        self._count = 0
        self._sum_ms = 0

    def observe(self, times_ms: Iterable[int], now_ms: int) -> None:
        """Count records with these times (milliseconds since 1970) that are done at `now_ms`."""
        ordered = sorted(times_ms)
        count, past = len(ordered), bisect_left(ordered, now_ms)
        sum_ms = now_ms * past - sum(ordered[:past])
        with self._lock:
            for place, bound_ms in enumerate(self._bounds_ms):
                self._counts[place] += count - bisect_left(ordered, now_ms - bound_ms)
            self._count += count
            self._sum_ms += sum_ms

    def collect(self) -> Iterator[Family]:
        """The histogram, with Prometheus' cumulative buckets."""
        metric = self._metric
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        with self._lock:
            bounds = [f"{bound:g}" for bound in metric.buckets]
            buckets = [*zip(bounds, map(float, self._counts), strict=True), ("+Inf", float(self._count))]
            family.add_metric(self._label_values, buckets, self._sum_ms / 1000)
        yield family

    def describe(self) -> Iterator[Family]:
        """What it is called, without figures."""
        yield HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)
