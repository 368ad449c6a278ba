"""The whole service as one value: what is attached, on its way or needs a person, and how the run stands.

Counts come from the ledger, live facts from what a running service keeps there; of a service that is not
running nothing live is known, and nothing old is shown as if it were.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from attachd.core.paths import escape
from attachd.core.settings import Settings
from attachd.ledger.lock import Holder, holder_of
from attachd.ledger.reports import Count, Reports
from attachd.status.facts import LiveFacts, read_facts, utc
from attachd.status.progress import STATES, tally

NOT_LOADED = "not known to the running service: rules.yaml was changed after it started"
NOT_CONFIGURED = "not in rules.yaml any more"
SILENT_AFTER = timedelta(seconds=10)
"""A service writes its facts every second: one that has not for so long cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStatus:
    """A folder, live where the service runs. Everything but path and states is None while it does not."""

    path: str
    watch: str | None = None
    healthy: bool | None = None
    detail: str | None = None
    last_scan_at: str | None = None
    files_seen: int | None = None
    found_by_hint: int | None = None
    found_by_scan: int | None = None
    number: int | None = None
    directories: int | None = None
    watches: int | None = None
    watch_limit: int | None = None
    first_run_files: int | None = None
    first_run_bytes: int | None = None
    states: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationStatus:
    """A destination, live where the service runs. Everything but name, kind and states is None otherwise."""

    name: str
    kind: str | None
    healthy: bool | None = None
    detail: str | None = None
    paused_until: str | None = None
    states: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """The service at one moment.

    Attributes:
        running: whether a run holds the ledger.
        healthy: it runs, has said how it stands, and every folder and destination it has is well.
        pid: of the run.
        started_at: of the run; like every time here UTC, ISO 8601.
        rules_loaded_at: when the run read the rules.yaml that is in force.
        rules_detail: why a later one is not in force; "" otherwise, None where that is not known.
        states: how many are in each state, zeros included.
        folders: those of rules.yaml, of the run, and those whose deliveries the ledger remembers.
        destinations: likewise.
        oldest_undelivered_at: when the oldest delivery that is not attached yet was first seen.
        detail: what is wrong with the service as a whole; "" otherwise.
    """

    running: bool
    healthy: bool
    pid: int | None
    started_at: str | None
    states: Mapping[str, int]
    folders: tuple[FolderStatus, ...]
    destinations: tuple[DestinationStatus, ...]
    oldest_undelivered_at: str | None
    rules_loaded_at: str | None = None
    rules_detail: str | None = None
    detail: str = ""

    @property
    def totals(self) -> dict[str, int]:
        """Add the states up as people see them."""
        return tally(self.states)

    def to_json(self) -> dict[str, Any]:
        """Give the contract's JSON object; `healthy`, `started_at`, `rules_…` and `totals` are besides."""
        return {
            "running": self.running,
            "pid": self.pid,
            "started_at": self.started_at,
            "healthy": self.healthy,
            "detail": self.detail,
            "rules_loaded_at": self.rules_loaded_at,
            "rules_detail": self.rules_detail,
            "states": dict(self.states),
            "totals": self.totals,
            "folders": [asdict(folder) for folder in self.folders],
            "destinations": [asdict(destination) for destination in self.destinations],
            "oldest_undelivered_at": self.oldest_undelivered_at,
        }


def take_snapshot(settings: Settings, reports: Reports | None) -> ServiceStatus:
    """Look at the ledger once; `reports` is None where there is none yet."""
    holder = holder_of(settings.ledger)
    if reports is None:
        return snapshot(settings, holder=holder, counts=(), live=None, oldest=None)
    return snapshot(
        settings,
        holder=holder,
        counts=reports.counts(),
        live=read_facts(reports.facts()),
        oldest=reports.oldest_undelivered(),
        now=datetime.now(UTC),
    )


def snapshot(
    settings: Settings,
    *,
    holder: Holder | None,
    counts: Sequence[Count],
    live: LiveFacts | None,
    oldest: datetime | None,
    now: datetime | None = None,
) -> ServiceStatus:
    """Put a status together from what the ledger and its lock say.

    Live facts count only while the run that wrote them holds the lock: those of an earlier run are old.
    """
    current = live if holder is not None and live is not None and live.service.pid == holder.pid else None
    folders = _folders(settings, current, counts)
    destinations = _destinations(settings, current, counts)
    detail = _silence(current.service.written_at, now) if current and now else ""
    parts: list[FolderStatus | DestinationStatus] = [*folders, *destinations]
    return ServiceStatus(
        running=holder is not None,
        healthy=current is not None and not detail and all(each.healthy is not False for each in parts),
        pid=holder.pid if holder else None,
        started_at=utc(holder.started_at) if holder else None,
        states=_states(counts),
        folders=folders,
        destinations=destinations,
        oldest_undelivered_at=utc(oldest) if oldest else None,
        rules_loaded_at=current.service.rules_loaded_at if current else None,
        rules_detail=current.service.rules_detail if current else None,
        detail=detail,
    )


def _silence(written_at: str | None, now: datetime) -> str:
    """Say that the service cannot write to its ledger, or is not let run; "" where it wrote just now."""
    silent = now - datetime.fromisoformat(written_at) if written_at else timedelta()
    if silent < SILENT_AFTER:
        return ""
    seconds = int(silent.total_seconds())
    return f"it has written nothing to its ledger for {seconds} s: its log says why (is the disk full?)"


def _folders(settings: Settings, live: LiveFacts | None, counts: Sequence[Count]) -> tuple[FolderStatus, ...]:
    facts = {fact.path: fact for fact in live.folders} if live else {}
    configured = {escape(folder.path) for folder in settings.folders}
    remembered = {escape(each.folder) for each in counts if each.count}
    return tuple(
        FolderStatus(
            **(
                asdict(facts[path])
                if path in facts
                else {"path": path, **_unknown(live, configured=path in configured)}
            ),
            states=_states(each for each in counts if escape(each.folder) == path),
        )
        for path in sorted(configured | facts.keys() | remembered)
    )


def _destinations(
    settings: Settings, live: LiveFacts | None, counts: Sequence[Count]
) -> tuple[DestinationStatus, ...]:
    facts = {fact.name: fact for fact in live.destinations} if live else {}
    kinds = {name: destination.kind for name, destination in settings.destinations.items()}
    remembered = {each.destination for each in counts if each.count and each.destination}
    return tuple(
        DestinationStatus(
            **(
                asdict(facts[name])
                if name in facts
                else {"name": name, "kind": kinds.get(name), **_unknown(live, configured=name in kinds)}
            ),
            states=_states(each for each in counts if each.destination == name),
        )
        for name in sorted(kinds.keys() | facts.keys() | remembered)
    )


def _unknown(live: LiveFacts | None, *, configured: bool) -> dict[str, Any]:
    if live is None:
        return {}
    return {"healthy": False, "detail": NOT_LOADED} if configured else {"detail": NOT_CONFIGURED}


def _states(counts: Iterable[Count]) -> dict[str, int]:
    found = dict.fromkeys(STATES, 0)
    for each in counts:
        found[each.state] += each.count
    return found
