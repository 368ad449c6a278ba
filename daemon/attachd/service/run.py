"""`attachd run`: start in order, watch over every thread, stop in order.

Start: secrets → lock → ledger → recover → rooms → intake → claims → folders → READY.
Stop: claims and intake → folders → workers finish or reach the deadline → ledger → lock.
A first SIGTERM or SIGINT drains, a second one cuts.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog

from attachd.core.settings import Settings
from attachd.errors import LedgerError
from attachd.folders.mounts import filesystem_of, is_network
from attachd.ledger.lock import Holder, LedgerLock, refuse_lost_ledger
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.service.build import Rooms, build, read_tokens
from attachd.service.clock import SystemClock
from attachd.service.notify import notify
from attachd.service.observe import live_facts, progress_of, situation_of, tallies_of
from attachd.service.once import exit_code, is_over
from attachd.service.signals import Signals
from attachd.status.facts import facts_to_json
from attachd.status.progress import Progress

log = structlog.get_logger("attachd")

TICK_SECONDS = 0.25
"""How often the main thread looks at everything; a signal is noticed at once."""

FACTS_SECONDS = 1.0
"""How often live facts are written for `status`."""

GRACE_SECONDS = 3.0
"""What a cut leaves the threads to notice it."""

_EXIT_FAILED = 1


def run(
    settings: Settings,
    *,
    once: bool = False,
    deadline: float | None = None,
    new_ledger: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> int:
    """Run the service until it is told to stop, or until nothing is left (`once`), and give the exit code.

    Args:
        settings: what rules.yaml says.
        once: one full scan, then deliver until nothing can be brought further.
        deadline: seconds after which `once` ends with what is left.
        new_ledger: begin a new ledger although a lock or backup of an old one stands there.
        progress: called several times a second with how far the run has come.

    Raises:
        ConfigError: a secret cannot be had.
        LedgerError: the ledger cannot be used, or another run holds it.
    """
    tokens = read_tokens(settings, os.environ)
    _refuse_network(settings.ledger)
    clock = SystemClock()
    started_at = clock.now()
    if not new_ledger:
        refuse_lost_ledger(settings.ledger)
    lock = LedgerLock.acquire(
        settings.ledger, Holder(pid=os.getpid(), host=socket.gethostname(), started_at=started_at)
    )
    try:
        ledger = SqliteLedger.open(settings.ledger, create=True)
        try:
            lock.sign()
            name = ledger.begin_run(os.getpid(), socket.gethostname(), started_at)
            _recover(ledger, name, started_at)
            rooms = build(settings, ledger, tokens, name, clock)
            with Signals() as signals:
                service = Service(settings, ledger, rooms, name, started_at, clock, signals)
                return service.serve(once=once, deadline=deadline, progress=progress)
        finally:
            ledger.close()
    finally:
        lock.release()


def _refuse_network(ledger: str) -> None:
    filesystem = filesystem_of(str(Path(ledger).parent))
    if is_network(filesystem):
        raise LedgerError(
            f"{ledger} lies on a network file system ({filesystem}), where SQLite's locks do not hold",
            hint="set `ledger:` to a path on a local disk",
        )


def _recover(ledger: SqliteLedger, run_name: str, at: datetime) -> None:
    recovered = ledger.recover(run_name, at)
    if any(recovered.values()):
        log.warning("recovered", **{str(state): count for state, count in recovered.items()})


@dataclass(slots=True)
class Service:
    """One run. Owner of everything here: the main thread."""

    settings: Settings
    ledger: SqliteLedger
    rooms: Rooms
    name: str
    started_at: datetime
    clock: SystemClock
    signals: Signals

    def serve(
        self, *, once: bool, deadline: float | None, progress: Callable[[Progress], None] | None
    ) -> int:
        """Start everything, wait for the end, stop everything, and give the exit code."""
        self._start()
        ends_at = None if deadline is None else self.clock.monotonic() + deadline
        with Reports.open(self.settings.ledger) as reports:
            try:
                failed = self._wait(reports, once=once, ends_at=ends_at, progress=progress)
                at_the_end = situation_of(self.settings, self.rooms, reports)
            finally:
                self._stop()
            if failed or (once and self.rooms.intake.bugs):
                return _EXIT_FAILED
            # The workers may have brought the last ones through while they were drained.
            drained = replace(at_the_end, tallies=tallies_of(reports))
            return exit_code(drained) if once else 0

    def _start(self) -> None:
        for folder_id in self.rooms.watches:
            self.rooms.intake.judge_unmatched(folder_id)
        self.rooms.intake.start()
        for dispatcher in self.rooms.dispatchers.values():
            dispatcher.start()
        for watch in self.rooms.watches.values():
            watch.start()
        folders, destinations = len(self.rooms.watches), len(self.rooms.dispatchers)
        log.info("started", run=self.name, ledger=self.settings.ledger, folders=folders)
        notify("READY=1", f"STATUS=watching {folders} folders for {destinations} destinations")

    def _wait(
        self,
        reports: Reports,
        *,
        once: bool,
        ends_at: float | None,
        progress: Callable[[Progress], None] | None,
    ) -> bool:
        """Wait for a reason to end; True where something of ours failed."""
        over_before = False
        publish_at = 0.0
        inode = Path(self.settings.ledger).stat().st_ino
        while not self.signals.stops:
            now = self.clock.monotonic()
            if now >= publish_at:
                self._publish()
                publish_at = now + FACTS_SECONDS
            if self._has_failed(inode):
                return True
            if progress:
                progress(progress_of(self.rooms, reports))
            if once:
                over = is_over(situation_of(self.settings, self.rooms, reports))
                if (over and over_before) or (ends_at is not None and now >= ends_at):
                    return False
                over_before = over
            self._note_reload()
            self.signals.wait(TICK_SECONDS)
        return False

    def _note_reload(self) -> None:
        if self.signals.reloads:
            self.signals.reloads = 0
            log.warning("reload_not_available", why="rules.yaml is read at start: restart attachd instead")

    def _publish(self) -> None:
        facts = live_facts(self.rooms, self.name, self.started_at)
        self.ledger.save_facts(facts_to_json(facts), self.clock.now())

    def _has_failed(self, inode: int) -> bool:
        for part, failure in self.rooms.failures():
            log.critical("thread_died", part=part, exc_info=failure)
            return True
        try:
            same = Path(self.settings.ledger).stat().st_ino == inode
        except FileNotFoundError:
            same = False
        if not same:
            log.critical(
                "ledger_replaced", ledger=self.settings.ledger, why="deleted or replaced while in use: ending"
            )
        return not same

    def _stop(self) -> None:
        log.info("stopping", run=self.name)
        notify("STOPPING=1", "STATUS=finishing transfers under way")
        stops = self.signals.stops
        deadline = self.clock.monotonic() + self.settings.service.drain
        for dispatcher in self.rooms.dispatchers.values():
            dispatcher.stop_claiming()
        self.rooms.intake.stop()
        grace = self.clock.monotonic() + GRACE_SECONDS
        for watch in self.rooms.watches.values():
            watch.stop(max(0.0, grace - self.clock.monotonic()))
        self.rooms.intake.join(grace)
        while (
            self._is_delivering()
            and self.clock.monotonic() < deadline
            and self.signals.stops <= max(stops, 1)
        ):
            self.signals.wait(TICK_SECONDS / 5)
        self._cut()
        for destination in self.rooms.destinations.values():
            destination.close()
        log.info("stopped", run=self.name)

    def _is_delivering(self) -> bool:
        return any(dispatcher.is_running for dispatcher in self.rooms.dispatchers.values())

    def _cut(self) -> None:
        """End transfers that cannot be waited for; what does not notice is recovered by the next start."""
        self.rooms.cut.set()
        grace = self.clock.monotonic() + GRACE_SECONDS
        while self._is_delivering() and self.clock.monotonic() < grace:
            self.signals.wait(TICK_SECONDS / 5)
