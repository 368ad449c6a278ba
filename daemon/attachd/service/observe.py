"""Looks at the running rooms and the ledger, and gives what others want to know as values."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime

from attachd.core.paths import escape
from attachd.core.settings import Settings
from attachd.ledger.reports import Count, Reports
from attachd.service.build import Rooms
from attachd.service.once import Situation, Tally, states_of
from attachd.service.reload import RulesState
from attachd.status.facts import DestinationFact, FolderFact, LiveFacts, ServiceFact, utc
from attachd.status.now import FolderNow
from attachd.status.progress import Progress


def situation_of(settings: Settings, rooms: Rooms, reports: Reports) -> Situation:
    """Gather the facts by which `run --once` decides whether it is over.

    The order matters: a file leaves the folder's hands before it is in intake's, and those before it is in
    the ledger, so each is asked before the one it hands over to.
    """
    folders = [watch.health() for watch in rooms.watches.values()]
    settled = all(folder.is_idle or folder.is_out for folder in folders)
    settled = settled and rooms.intake.is_idle and rooms.replanner.is_idle
    accounts = [dispatcher.health() for dispatcher in rooms.dispatchers.values()]
    return Situation(
        settled=settled,
        attempting=any(account.active for account in accounts),
        tallies=tallies_of(reports),
        folders={folder.path for folder in settings.folders},
        followers=_tallies(reports.followers()),
        folders_out={folder.path for folder in folders if folder.is_out},
        folders_unwell={folder.path for folder in folders if not folder.healthy},
        blocked={account.name for account in accounts if account.blocked},
        destinations=set(settings.destinations),
        looked_for=_tallies(reports.looked_for(datetime.now(UTC))),
        finishing=rooms.finisher.is_busy,
        unfinished=rooms.finisher.is_behind,
    )


def progress_of(rooms: Rooms, reports: Reports) -> Progress:
    """Give how far the run has come."""
    folders = [watch.health() for watch in rooms.watches.values()]
    return Progress(
        states=states_of(tallies_of(reports)),
        settling=sum(folder.settling for folder in folders),
        scanning=any(folder.scanning for folder in folders),
    )


def live_facts(rooms: Rooms, run: str, started_at: datetime, rules: RulesState) -> LiveFacts:
    """Give what `status` shows of the live service."""
    return LiveFacts(
        service=ServiceFact(
            pid=os.getpid(),
            run=run,
            started_at=utc(started_at),
            rules_loaded_at=utc(rules.loaded_at),
            rules_detail=rules.detail,
            written_at=utc(datetime.now(UTC)),
        ),
        folders=tuple(_folder_fact(rooms, number) for number in rooms.watches),
        destinations=tuple(
            DestinationFact(
                name=health.name,
                kind=health.kind,
                healthy=health.healthy,
                detail=health.detail,
                paused_until=utc(health.paused_until) if health.paused_until else None,
            )
            for health in (dispatcher.health() for dispatcher in rooms.dispatchers.values())
        ),
    )


def _folder_fact(rooms: Rooms, number: int) -> FolderFact:
    health = rooms.watches[number].health()
    return FolderFact(
        path=escape(health.path),
        number=number,
        watch=health.watch,
        healthy=health.healthy,
        detail=health.detail,
        last_scan_at=utc(health.last_scan_at) if health.last_scan_at else None,
        files_seen=health.files_seen,
        found_by_hint=health.found_by_hint,
        found_by_scan=health.found_by_scan,
        directories=health.directories,
        watches=health.watches,
        watch_limit=health.watch_limit,
        first_run_files=health.backlog.files if health.backlog else None,
        first_run_bytes=health.backlog.size if health.backlog else None,
    )


def folders_now(rooms: Rooms) -> tuple[FolderNow, ...]:
    """Give what metrics tell of each folder."""
    now = rooms.wiring.clock.monotonic()
    found = ((number, watch.health()) for number, watch in sorted(rooms.watches.items()))
    return tuple(
        FolderNow(
            number=number,
            healthy=health.healthy,
            scan_age=max(0.0, now - health.scanned_at),
            files_seen=health.files_seen,
            settling=health.settling,
        )
        for number, health in found
    )


def tallies_of(reports: Reports) -> list[Tally]:
    """Give what the ledger counts, for `once`."""
    return _tallies(reports.counts())


def _tallies(counts: Iterable[Count]) -> list[Tally]:
    return [
        Tally(folder=count.folder, destination=count.destination, state=count.state, count=count.count)
        for count in counts
    ]
