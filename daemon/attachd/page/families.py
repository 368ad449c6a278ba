"""Every metric of attachd, as data: name, kind, meaning, labels. docs/metrics.md is drawn from it.

Names follow https://prometheus.io/docs/practices/naming/: a prefix, base units, `_total` for counters. No
label ever carries a path or a name of a file: a folder is told by its number in the ledger, which the page
and `attachd status --json` show beside its path.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The types of https://prometheus.io/docs/concepts/metric_types/ that occur here."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric; `name` as it is written in a query, without `_bucket`, `_sum` and `_count`."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, meaning: str, *labels: str) -> Family:
    return Family(name=f"attachd_{name}", kind=Kind.GAUGE, meaning=meaning, labels=labels)


def _counter(name: str, meaning: str, *labels: str) -> Family:
    return Family(name=f"attachd_{name}", kind=Kind.COUNTER, meaning=meaning, labels=labels)


def _histogram(name: str, meaning: str, *labels: str) -> Family:
    return Family(name=f"attachd_{name}", kind=Kind.HISTOGRAM, meaning=meaning, labels=labels)


BUILD = _gauge("build_info", "Always 1; the labels say what runs.", "version", "python")
RULES_REFUSED = _gauge("rules_refused", "1 while a changed rules.yaml is not in force because of its faults.")
LEDGER_WRITABLE = _gauge("ledger_writable", "1 unless the last write to the ledger failed.")
DELIVERIES = _gauge("deliveries", "Deliveries in the ledger.", "destination", "state")
WITHOUT_DELIVERY = _gauge("files_without_delivery", "Files that have no delivery.", "standing")
OLDEST = _gauge(
    "oldest_undelivered_age_seconds", "Age of the oldest file that is not attached yet; 0 if there is none."
)
GATE_CLOSED = _gauge("gate_closed", "1 while the destination refuses us or cannot be reached.", "destination")
ATTEMPTS = _counter(
    "attempts_total",
    "Attempts at deliveries, by the state they led to (followed: the same bytes go another way) and error.",
    "destination",
    "outcome",
    "kind",
)
SENT = _counter("sent_bytes_total", "Bytes of files that arrived whole in storage.", "destination")
QUEUE = _histogram("queue_wait_seconds", "From ready until a worker has the delivery.", "destination")
CALLS = _histogram(
    "call_duration_seconds",
    "Remote calls, by outcome: ok, the error's kind, or failed where it was not the other side's doing.",
    "destination",
    "call",
    "outcome",
)
WHOLE = _histogram(
    "delivery_duration_seconds", "From the file first seen complete until it is attached.", "destination"
)
FOLDER_HEALTHY = _gauge(
    "folder_healthy", "1 while the folder and all directories in it can be read.", "folder"
)
SCAN_AGE = _gauge(
    "folder_scan_age_seconds", "Since the last complete scan, or since watching began.", "folder"
)
FOLDER_FILES = _gauge("folder_files", "Files that the last complete scan met.", "folder")
SETTLING = _gauge("folder_settling_files", "Files that may still be being written.", "folder")
FOUND = _counter(
    "files_found_total", "Files taken, by what told of them first: hint or scan.", "folder", "by"
)
DROPPED = _counter(
    "hints_dropped_total",
    "Hints that were lost; a loss of an unknown number counts as one. A scan makes up for them.",
    "folder",
)
SETTLE = _histogram(
    "settle_wait_seconds", "From a file first seen until nobody writes it any more.", "folder"
)

FAMILIES = (
    BUILD,
    RULES_REFUSED,
    LEDGER_WRITABLE,
    DELIVERIES,
    WITHOUT_DELIVERY,
    OLDEST,
    GATE_CLOSED,
    ATTEMPTS,
    SENT,
    QUEUE,
    CALLS,
    WHOLE,
    FOLDER_HEALTHY,
    SCAN_AGE,
    FOLDER_FILES,
    SETTLING,
    FOUND,
    DROPPED,
    SETTLE,
)
"""In the order of /metrics and of the docs."""
