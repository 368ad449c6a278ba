"""`attachd run`: start in order, watch over every thread, stop in order.

Start: secrets → lock → ledger → recover → rooms → intake → claims → folders → READY.
Stop: claims and intake → folders → workers finish or reach the deadline → ledger → lock.
A first SIGTERM or SIGINT drains, a second one cuts. SIGHUP reads rules.yaml again.
"""

import os
import socket
import time
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
from attachd.service.once import Situation, exit_code, is_over
from attachd.service.reload import RulesState, begin_judging, reload
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
                rules = RulesState(settings=settings, loaded_at=started_at)
                service = Service(rules, ledger, rooms, name, started_at, clock, signals)
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

    rules: RulesState
    ledger: SqliteLedger
    rooms: Rooms
    name: str
    started_at: datetime
    clock: SystemClock
    signals: Signals

    @property
    def settings(self) -> Settings:
        """Give what the rules.yaml in force says."""
        return self.rules.settings

    def serve(
        self, *, once: bool, deadline: float | None, progress: Callable[[Progress], None] | None
    ) -> int:
        """Start everything, wait for the end, stop everything, and give the exit code."""
        self._start()
        ends_at = None if deadline is None else self.clock.monotonic() + deadline
        with Reports.open(self.settings.ledger) as reports:
            try:
                at_the_end = self._wait(reports, once=once, ends_at=ends_at, progress=progress)
            finally:
                self._stop()
            if at_the_end is None or (once and self.rooms.intake.bugs):
                return _EXIT_FAILED
            # The workers may have brought the last ones through while they were drained.
            drained = replace(at_the_end, tallies=tallies_of(reports))
            return exit_code(drained) if once else 0

    def _start(self) -> None:
        self.rooms.replanner.start()
        begin_judging(self.rooms, self.settings, "start")
        self.rooms.intake.start()
        self.rooms.finisher.start()
        for dispatcher in self.rooms.dispatchers.values():
            dispatcher.start()
        for watch in self.rooms.watches.values():
            watch.start()
        folders = len(self.rooms.watches)
        log.info("started", run=self.name, ledger=self.settings.ledger, folders=folders)
        notify("READY=1", self._summary())

    def _summary(self) -> str:
        folders, destinations = len(self.rooms.watches), len(self.rooms.dispatchers)
        refused = "; a reload was refused, see the log" if self.rules.detail else ""
        return f"STATUS=watching {folders} folders for {destinations} destinations{refused}"

    def _wait(
        self,
        reports: Reports,
        *,
        once: bool,
        ends_at: float | None,
        progress: Callable[[Progress], None] | None,
    ) -> Situation | None:
        """Wait for a reason to end and give how things stood at that moment; None where we failed.

        Not how they stand a moment later: by then the next scan may have begun.
        """
        over_before = False
        publish_at = 0.0
        inode = Path(self.settings.ledger).stat().st_ino
        while not self.signals.stops:
            now = self.clock.monotonic()
            if now >= publish_at:
                self._publish()
                publish_at = now + FACTS_SECONDS
            if self._has_failed(inode):
                return None
            if progress:
                progress(progress_of(self.rooms, reports))
            if once:
                situation = situation_of(self.settings, self.rooms, reports)
                over = is_over(situation)
                if (over and over_before) or (ends_at is not None and now >= ends_at):
                    return situation
                over_before = over
            self.rooms.sweep()
            if self.signals.reloads:
                self._reload()
            self.signals.wait(TICK_SECONDS)
        return situation_of(self.settings, self.rooms, reports)

    def _reload(self) -> None:
        """Read rules.yaml again, and tell systemd as sd_notify(3) has it for `Type=notify-reload`."""
        self.signals.reloads = 0
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self.rules = reload(self.rooms, self.rules)
        self._publish()
        notify("READY=1", self._summary())

    def _publish(self) -> None:
        facts = live_facts(self.rooms, self.name, self.started_at, self.rules)
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
        self.rooms.finisher.stop()
        self.rooms.replanner.stop()
        grace = self.clock.monotonic() + GRACE_SECONDS
        for watch in (*self.rooms.watches.values(), *self.rooms.retired_watches):
            watch.stop(max(0.0, grace - self.clock.monotonic()))
        self.rooms.intake.join(grace)
        self.rooms.finisher.join(max(0.0, grace - self.clock.monotonic()))
        self.rooms.replanner.join(grace)
        while (
            self._is_delivering()
            and self.clock.monotonic() < deadline
            and self.signals.stops <= max(stops, 1)
        ):
            self.signals.wait(TICK_SECONDS / 5)
        self._cut()
        for destination in self.rooms.destinations.values():
            destination.close()
        for _, destination in self.rooms.retired_accounts:
            destination.close()
        log.info("stopped", run=self.name)

    def _is_delivering(self) -> bool:
        retired = (dispatcher for dispatcher, _ in self.rooms.retired_accounts)
        return any(each.is_running for each in (*self.rooms.dispatchers.values(), *retired))

    def _cut(self) -> None:
        """End transfers that cannot be waited for; what does not notice is recovered by the next start."""
        self.rooms.cut.set()
        grace = self.clock.monotonic() + GRACE_SECONDS
        while self._is_delivering() and self.clock.monotonic() < grace:
            self.signals.wait(TICK_SECONDS / 5)
