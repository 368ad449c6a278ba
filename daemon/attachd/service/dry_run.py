"""`attachd run --once --dry-run`: the whole service on a copy of the ledger, and nothing leaves the machine.

Every room does what it does in a real run: scan, settle, rules, hash, elder. Only the destinations are stood
in for, after-actions find no folder to act in, and what is written goes to a copy in a temporary directory
($TMPDIR). So the answer is that of a real run as far as this machine can tell. Whether a target is there, and
whether the destination takes the file, only a real run finds out.
"""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from attachd.core.paths import escape
from attachd.core.settings import Settings
from attachd.destinations.registry import REHEARSED
from attachd.destinations.registry import build as build_destination
from attachd.ledger.copying import copy_of
from attachd.ledger.lock import refuse_lost_ledger
from attachd.ledger.reports import Entry, Reports
from attachd.ledger.store import SqliteLedger
from attachd.model import State
from attachd.service.build import build
from attachd.service.clock import SystemClock
from attachd.service.reload import RulesState
from attachd.service.run import Service
from attachd.service.signals import Signals
from attachd.status.progress import Progress

SEND = "send"
"""What would become of a file that is not attached yet and could be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Would:
    """What a real run would make of one delivery, or of a file without one.

    Attributes:
        what: `send`, or the state it would come to.
        entry: as it stands in the copy; its id is None where the real ledger does not have it.
    """

    what: str
    entry: Entry


class _NoToken:
    """Stands where a real destination has its token."""

    def token(self) -> str:
        """Give none."""
        return ""

    def renew(self, refused: str) -> bool:
        """Have no other one."""
        del refused
        return False

    def close(self) -> None:
        """Give back nothing."""


def dry_run(
    settings: Settings,
    *,
    deadline: float | None,
    new_ledger: bool,
    progress: Callable[[Progress], None] | None,
    tell: Callable[[Iterator[Would]], None],
    warn: Callable[[str], None],
) -> int:
    """Do what `run --once` does, tell what it would have done, and give its exit code.

    Args:
        settings: what rules.yaml says; no secret is read.
        deadline: seconds after which it ends with what is left.
        new_ledger: as for `run`.
        progress: called several times a second with how far it has come.
        tell: is given what a real run would make of each file, newest change first.
        warn: is given what is wrong with a folder, one line for each.

    Raises:
        LedgerError: the ledger cannot be read, or the copy not be made.
    """
    if not new_ledger:
        refuse_lost_ledger(settings.ledger)
    with TemporaryDirectory(prefix="attachd-dry-run-") as directory:
        place = str(Path(directory) / "attachd.db")
        ledger = copy_of(settings.ledger, place)
        try:
            with Reports.open(place) as reports:
                known = reports.last_id()
                started_at = SystemClock().now()
                service_settings = replace(settings, ledger=place)
                with Signals() as signals:
                    service = _service(settings, service_settings, ledger, signals)
                    code = service.serve(once=True, deadline=deadline, progress=progress)
                for health in (watch.health() for watch in service.rooms.watches.values()):
                    if not health.healthy:
                        warn(f"folder {escape(health.path)}: {health.detail}")
                tell(_would(entry, known) for entry in reports.entries(since=started_at))
        finally:
            ledger.close()
    return code


def _service(settings: Settings, copied: Settings, ledger: SqliteLedger, signals: Signals) -> Service:
    clock = SystemClock()
    now = clock.now()
    ledger.begin_after_loss("", now)
    name = ledger.begin_run(os.getpid(), socket.gethostname(), now)
    ledger.recover(name, now)
    tokens = {each: _NoToken() for each in settings.destinations}
    make = partial(build_destination, kinds=REHEARSED)
    # With the real settings: they say which files are our own, the real ledger among them.
    rooms = build(settings, ledger, tokens, name, clock, make=make, acts=False, once=True)
    rules = RulesState(settings=copied, loaded_at=now)
    return Service(rules, ledger, rooms, name, now, clock, signals)


def _would(entry: Entry, known: int) -> Would:
    if entry.state == State.DONE:
        return Would(what=SEND, entry=replace(entry, id=_id(entry, known), remote_id=None))
    return Would(what=entry.state, entry=replace(entry, id=_id(entry, known)))


def _id(entry: Entry, known: int) -> int | None:
    return entry.id if entry.id is not None and entry.id <= known else None
