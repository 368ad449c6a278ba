"""The live facts that a running service keeps in the ledger: keys and shapes, for writer and reader alike.

The service writes them at most once a second; `read_facts` takes back what it wrote. Values are JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

SERVICE = "service"
FOLDERS = "folders"
DESTINATIONS = "destinations"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFact:
    """Which run wrote the facts, and by which rules.yaml it goes. Times are UTC, ISO 8601.

    Attributes:
        pid: of the run.
        run: its name in the ledger.
        started_at: when it started.
        rules_loaded_at: when the rules.yaml in force was read.
        rules_detail: why a later one is not in force; "" otherwise.
        written_at: when these facts were true.
    """

    pid: int
    run: str
    started_at: str
    rules_loaded_at: str | None = None
    rules_detail: str = ""
    written_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFact:
    """How a watched folder stands.

    Attributes:
        path: absolute, in escaped form.
        number: its key in the ledger, by which metrics tell folders apart.
        watch: `events` or `scan`, as decided for its file system.
        healthy: whether it can be read and is the file system it was.
        detail: why not, or what is worth knowing; "" otherwise.
        last_scan_at: end of the last complete scan, UTC, ISO 8601; None before the first.
        files_seen: files that the last scan met.
        found_by_hint: files that an event told of first, since the service started.
        found_by_scan: files that a scan found first, since the service started.
        directories: directories that the last scan read.
        watches: directories that bring events.
        watch_limit: how many the kernel lets one user watch; None where that is not known.
        first_run_files: what lay in the folder at its first start, while the first scan is not complete.
        first_run_bytes: likewise; None once it is complete, and where nothing was counted.
    """

    path: str
    watch: str
    healthy: bool
    detail: str = ""
    last_scan_at: str | None = None
    files_seen: int = 0
    found_by_hint: int = 0
    found_by_scan: int = 0
    number: int | None = None
    directories: int = 0
    watches: int = 0
    watch_limit: int | None = None
    first_run_files: int | None = None
    first_run_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationFact:
    """How a destination stands.

    Attributes:
        name: as in rules.yaml.
        kind: `ion` or `glue`.
        healthy: whether its gate is open.
        detail: why the gate is closed; "" otherwise.
        paused_until: when the next probe may go, UTC, ISO 8601; None while the gate is open.
    """

    name: str
    kind: str
    healthy: bool
    detail: str = ""
    paused_until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFacts:
    """Everything that one run says about itself."""

    service: ServiceFact
    folders: tuple[FolderFact, ...]
    destinations: tuple[DestinationFact, ...]


_Fact = TypeVar("_Fact", FolderFact, DestinationFact)


def utc(moment: datetime) -> str:
    """Give a time as every JSON of attachd has it: UTC, ISO 8601, `2026-11-21T22:37:56.120Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def facts_to_json(live: LiveFacts) -> dict[str, Any]:
    """Turn live facts into what is kept in the ledger, by key."""
    return {
        SERVICE: asdict(live.service),
        FOLDERS: [asdict(folder) for folder in live.folders],
        DESTINATIONS: [asdict(destination) for destination in live.destinations],
    }


def read_facts(stored: Mapping[str, Any]) -> LiveFacts | None:
    """Take live facts back from the ledger; None where no run has written any.

    Keys that this version does not know are passed over, so that facts of a newer one can be read.
    """
    service = stored.get(SERVICE)
    if not service:
        return None
    return LiveFacts(
        service=ServiceFact(
            pid=service["pid"],
            run=str(service["run"]),
            started_at=str(service["started_at"]),
            rules_loaded_at=service.get("rules_loaded_at"),
            rules_detail=str(service.get("rules_detail", "")),
            written_at=service.get("written_at"),
        ),
        folders=_many(FolderFact, stored.get(FOLDERS, ())),
        destinations=_many(DestinationFact, stored.get(DESTINATIONS, ())),
    )


def _many(kind: type[_Fact], rows: Sequence[Mapping[str, Any]]) -> tuple[_Fact, ...]:
    known = {field.name for field in fields(kind)}
    return tuple(kind(**{key: value for key, value in row.items() if key in known}) for row in rows)
