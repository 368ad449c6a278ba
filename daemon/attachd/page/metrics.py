"""The numbers of a scrape: made when it is asked for, from values, so that nothing has to be kept in step."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from attachd import __version__
from attachd.errors import LedgerError
from attachd.ledger.reports import WITHOUT_DELIVERY
from attachd.model import State
from attachd.page import families
from attachd.page.families import Family, Kind
from attachd.page.source import Source
from attachd.status.measuring import Distribution, Labels
from attachd.status.now import Now
from attachd.status.snapshot import ServiceStatus

Numbers = Mapping[Labels, float]


class Metrics:
    """A registry of its own: what other libraries register does not get in. Safe for any thread."""

    def __init__(self, source: Source) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Service(source))
        ProcessCollector(registry=self._registry)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Give all metrics and their media type, in the format that an `Accept` header asks for."""
        encoder, media_type = choose_encoder(accept)
        return encoder(self._registry), media_type


class _Service(Collector):
    """Asks the running service at each scrape."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """Give every family that can be had: without the ledger its own are left out, not invented."""
        values = dict(_inside(self._source.now()))
        try:
            values |= _remembered(self._source.status(), datetime.now(UTC))
        except LedgerError:
            values[families.LEDGER_WRITABLE] = {(): 0.0}
        return (_metric(family, values[family]) for family in families.FAMILIES if family in values)

    def describe(self) -> Iterable[Metric]:
        """Name nothing, so that registering asks nobody."""
        return ()


def _inside(now: Now) -> Iterator[tuple[Family, Mapping[Labels, Any]]]:
    measured = now.measured
    accounts = [(fact.name,) for fact in now.facts.destinations]
    folders = {(str(each.number),): each for each in now.folders}
    yield families.BUILD, {(__version__, platform.python_version()): 1.0}
    yield families.RULES_REFUSED, {(): float(bool(now.facts.service.rules_detail))}
    yield families.LEDGER_WRITABLE, {(): float(not now.ledger_trouble)}
    yield (
        families.GATE_CLOSED,
        {(fact.name,): float(not fact.healthy) for fact in now.facts.destinations},
    )
    yield families.ATTEMPTS, measured.attempts
    yield families.SENT, {**dict.fromkeys(accounts, 0.0), **measured.sent}
    yield families.QUEUE, measured.queueing
    yield families.CALLS, measured.calls
    yield families.WHOLE, measured.whole
    yield families.FOLDER_HEALTHY, {key: float(each.healthy) for key, each in folders.items()}
    yield families.SCAN_AGE, {key: each.scan_age for key, each in folders.items()}
    yield families.FOLDER_FILES, {key: float(each.files_seen) for key, each in folders.items()}
    yield families.SETTLING, {key: float(each.settling) for key, each in folders.items()}
    ways = [(*key, by) for key in folders for by in ("hint", "scan")]
    yield families.FOUND, {**dict.fromkeys(ways, 0.0), **measured.found}
    yield families.DROPPED, {**dict.fromkeys(folders, 0.0), **measured.dropped}
    yield families.SETTLE, measured.settling


def _remembered(status: ServiceStatus, at: datetime) -> dict[Family, Numbers]:
    oldest = status.oldest_undelivered_at
    age = (at - datetime.fromisoformat(oldest)).total_seconds() if oldest else 0.0
    return {
        families.DELIVERIES: {
            (account.name, state.value): float(account.states[state])
            for account in status.destinations
            for state in State
        },
        families.WITHOUT_DELIVERY: {
            (standing,): float(status.states[standing]) for standing in sorted(WITHOUT_DELIVERY)
        },
        families.OLDEST: {(): max(0.0, age)},
    }


def _metric(family: Family, values: Mapping[Labels, Any]) -> Metric:
    return _MAKE[family.kind](family, values)


def _gauge(family: Family, values: Numbers) -> Metric:
    made = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made


def _counter(family: Family, values: Numbers) -> Metric:
    made = CounterMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made


def _histogram(family: Family, values: Mapping[Labels, Distribution]) -> Metric:
    made = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, spread in values.items():
        bounds = [*(str(bound) for bound in spread.bounds), "+Inf"]
        made.add_metric(labels, list(zip(bounds, spread.below, strict=True)), spread.total)
    return made


_MAKE: Mapping[Kind, Callable[[Family, Any], Metric]] = {
    Kind.GAUGE: _gauge,
    Kind.COUNTER: _counter,
    Kind.HISTOGRAM: _histogram,
}
