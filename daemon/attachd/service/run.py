"""`attachd run`: start in order, watch over every thread, stop in order.

Start: secrets → lock → ledger → recover → rooms → intake → claims → folders → READY.
Stop: claims and intake → folders → workers finish or reach the deadline → ledger → lock.
A first SIGTERM or SIGINT drains, a second one cuts. SIGHUP reads rules.yaml again.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from attachd.core.heart import Heart
from attachd.core.settings import Settings
from attachd.errors import LedgerDamaged, LedgerError, UserError
from attachd.folders import reach
from attachd.ledger.reports import Reports
from attachd.ledger.store import SqliteLedger
from attachd.logs import tell_repeated
from attachd.service.beginning import Begun, begun, holder
from attachd.service.build import Rooms, build, read_tokens
from attachd.service.clock import SystemClock
from attachd.service.keeper import FIRST_SECONDS, LedgerKeeper
from attachd.service.listen import read_listen
from attachd.service.notify import notify
from attachd.service.observe import live_facts, progress_of, situation_of, tallies_of
from attachd.service.once import Situation, exit_code, is_over, states_of
from attachd.service.paging import Inside, Paging
from attachd.service.reload import RulesState, begin_judging, reload
from attachd.service.signals import Signals
from attachd.service.starting import await_clock, refuse_network
from attachd.service.telling import Teller, standing
from attachd.status.facts import LiveFacts, facts_to_json
from attachd.status.progress import Progress

log = structlog.get_logger("attachd")

TICK_SECONDS = 0.25
"""How often the main thread looks at everything; a signal is noticed at once."""

FACTS_SECONDS = 1.0
"""How often live facts are written for `status`."""

SWITCH_SECONDS = 0.0005
"""When a thread has to let another one run (sys.setswitchinterval). The ledger's thread lets go of the
interpreter at each statement; at Python's 5 ms it would stand behind the workers dozens of times a file."""

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
    signals: Signals,
) -> int:
    """Run the service until it is told to stop, or until nothing is left (`once`), and give the exit code.

    Args:
        settings: what rules.yaml says.
        once: one full scan, then deliver until nothing can be brought further.
        deadline: seconds after which `once` ends with what is left.
        new_ledger: begin a new ledger although a lock or backup of an old one stands there.
        progress: called several times a second with how far the run has come.
        signals: caught since before rules.yaml was read.

    Raises:
        ConfigError: a secret cannot be had, or the ledger lies on a network file system.
        LedgerError: the ledger cannot be used, or another run holds it.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    tokens = read_tokens(settings, os.environ)
    listen = None if once else read_listen(settings)
    refuse_network(settings)
    clock = SystemClock()
    if not await_clock(clock, signals, Teller(clock, os.environ), once=once):
        return 0
    at = clock.now()
    with begun(settings.ledger, clock, at, new_ledger=new_ledger) as entered:
        rooms = build(settings, entered.ledger, tokens, entered.name, clock, once=once)
        rules = RulesState(settings=settings, loaded_at=at, listen=listen)
        service = Service(rules, entered.ledger, rooms, entered.name, at, clock, signals)
        service.keep(entered, first=0.0 if once else FIRST_SECONDS)
        return service.serve(once=once, deadline=deadline, progress=progress)


def _tell_failure(part: str, failure: BaseException) -> None:
    if isinstance(failure, UserError):
        log.critical("ending", part=part, why=failure.message, hint=failure.hint)
    elif isinstance(failure, MemoryError):
        hint = "the next start takes up what was under way; give the service more memory, or fewer `workers`"
        log.critical("ending", part=part, why="no memory is left", hint=hint)
    else:
        log.critical("thread_died", part=part, exc_info=failure)


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
    keeper: LedgerKeeper | None = None
    paging: Paging | None = None
    teller: Teller = field(init=False)
    heart: Heart = field(init=False)

    def __post_init__(self) -> None:
        self.teller = Teller(self.clock, os.environ)
        self.heart = Heart(self.clock)

    @property
    def settings(self) -> Settings:
        """Give what the rules.yaml in force says."""
        return self.rules.settings

    def serve(
        self, *, once: bool, deadline: float | None, progress: Callable[[Progress], None] | None
    ) -> int:
        """Start everything, wait for the end, stop everything, and give the exit code."""
        self._start()
        if self.keeper is not None and not once:
            self.keeper.start()
        ends_at = None if deadline is None else self.clock.monotonic() + deadline
        with Reports.open(self.settings.ledger) as reports:
            self.paging = Paging(self._inside(reports))
            self.paging.show_at(self.rules.listen)
            try:
                at_the_end = self._wait(reports, once=once, ends_at=ends_at, progress=progress)
            finally:
                self._stop()
            if at_the_end is None or (once and self.rooms.intake.bugs):
                return _EXIT_FAILED
            if once and self.keeper is not None:
                self.keeper.tend()
            # The workers may have brought the last ones through while they were drained.
            drained = replace(at_the_end, tallies=tallies_of(reports))
            return exit_code(drained) if once else 0

    def keep(self, entered: Begun, *, first: float) -> None:
        """Have the ledger's file looked after, from so many seconds after the start on."""
        self.keeper = LedgerKeeper(
            entered.file, self.clock, checked=entered.checked, first=first, thin=self.thin
        )

    def thin(self, at: datetime) -> bool:
        """Thin a batch of what ended longer ago than `keep` in force says; False where none is left."""
        keep = self.settings.keep
        return keep is not None and self.ledger.thin(at - timedelta(seconds=keep))

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
        self.teller.ready(standing(self._facts(), {}))

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
            self.heart.beat()
            now = self.clock.monotonic()
            if now >= publish_at:
                self._publish()
                tell_repeated()
                publish_at = now + FACTS_SECONDS
                self._tell_manager(reports)
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
        if self.paging is not None:
            self.paging.show_at(self.rules.listen)
        self._publish()
        self.teller.ready(standing(self._facts(), {}))

    def _publish(self) -> None:
        self.ledger.save_facts(facts_to_json(self._facts()), self.clock.now())

    def _facts(self) -> LiveFacts:
        return live_facts(self.rooms, self.name, self.started_at, self.rules)

    def _inside(self, reports: Reports) -> Inside:
        return Inside(
            rooms=self.rooms,
            reports=reports,
            holder=holder(self.started_at),
            settings=lambda: self.settings,
            facts=self._facts,
            failures=self._failures,
            trouble=lambda: self.ledger.trouble,
            stuck=self.stuck,
            main=self.heart,
        )

    def _has_failed(self, inode: int) -> bool:
        if failures := self._failures():
            _tell_failure(*failures[0])
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

    def _failures(self) -> list[tuple[str, BaseException]]:
        failures = self.rooms.failures()
        if self.keeper is not None and self.keeper.failure is not None:
            failures.append(("ledger keeper", self.keeper.failure))
        if isinstance(self.ledger.trouble, LedgerDamaged):
            failures.append(("ledger", self.ledger.trouble))
        return failures

    def stuck(self) -> list[str]:
        """Name the loops that have shown no sign of life for too long."""
        return self.rooms.silent(self.teller.patience)

    def _tell_manager(self, reports: Reports) -> None:
        """Feed the watchdog, and let `systemctl status` say how the service stands."""
        trouble = self.ledger.trouble
        try:
            states = states_of(tallies_of(reports))
        except LedgerError as error:  # then the status line is all that can still tell of it
            states, trouble = {}, trouble or error
        silent = self.rooms.silent_folders(self.teller.patience)
        self.teller.goes_on(standing(self._facts(), states, str(trouble or ""), silent), self.stuck())

    def _stop(self) -> None:
        log.info("stopping", run=self.name)
        self.teller.stopping()
        self.heart.rest()
        most_stops = max(self.signals.stops, 1)  # one more of them cuts
        deadline = self.clock.monotonic() + self.settings.service.drain
        self._take_nothing_new()
        while (
            self._is_delivering() and self.clock.monotonic() < deadline and self.signals.stops <= most_stops
        ):
            self.teller.draining(self._active())
            self.signals.wait(TICK_SECONDS / 5)
        self._cut()
        if self.paging is not None:
            self.paging.stop(GRACE_SECONDS)
        for _, destination in self.rooms.accounts():
            destination.close()
        tell_repeated(at_once=True)
        log.info("stopped", run=self.name)

    def _take_nothing_new(self) -> None:
        """End everything but the workers, which go on with what they have."""
        for dispatcher in self.rooms.dispatchers.values():
            dispatcher.stop_claiming()
        rooms = (self.rooms.intake, self.rooms.finisher, self.rooms.replanner)
        for room in rooms:
            room.stop()
        if self.keeper is not None and self.keeper.is_running:
            self.keeper.stop(GRACE_SECONDS)
        grace = self.clock.monotonic() + GRACE_SECONDS
        for watch in (*self.rooms.watches.values(), *self.rooms.retired_watches):
            watch.stop(max(0.0, grace - self.clock.monotonic()))
        for room in rooms:
            room.join(grace)

    def _active(self) -> int:
        return sum(dispatcher.health().active for dispatcher, _ in self.rooms.accounts())

    def _is_delivering(self) -> bool:
        return any(dispatcher.is_running for dispatcher, _ in self.rooms.accounts())

    def _cut(self) -> None:
        """End transfers that cannot be waited for; what does not notice is recovered by the next start."""
        self.rooms.cut.set()
        reach.close()
        grace = self.clock.monotonic() + GRACE_SECONDS
        while self._is_delivering() and self.clock.monotonic() < grace:
            self.signals.wait(TICK_SECONDS / 5)
