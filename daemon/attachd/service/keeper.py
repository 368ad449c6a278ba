"""Looks after the ledger file itself: its daily backup, and the check that a start had no time to finish.

Both read the whole file by a connection of their own, so nobody who writes waits for them. A ledger that does
not hold together never takes the place of its last good backup.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from attachd.core.protocols import Clock
from attachd.errors import LedgerDamaged, LedgerError

log = structlog.get_logger("attachd")

DAY = 24 * 3600.0
FIRST_SECONDS = 5.0
"""How long a start is left alone before the first backup."""

RETRY_SECONDS = 300.0
"""How long after a failed backup the next one is tried."""

THIN_SECONDS, THIN_PAUSE = 5.0, 0.02
"""For how long the ledger is thinned at a time, and the pause between two batches of that."""

LOOK_SECONDS = 60.0
"""How often the clocks are looked at: one that was set, or a machine that slept, moves the time."""


class KeptLedger(Protocol):
    """What the keeper asks of the ledger."""

    def backed_up_at(self) -> float | None:
        """Say when its backup was made, in seconds of the wall clock; None where there is none."""
        ...

    def check(self) -> bool:
        """See whether it holds together."""
        ...

    def back_up(self, at: datetime) -> None:
        """Make a backup of it."""
        ...

    def interrupt(self) -> None:
        """End a check or a backup under way."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """When the last backup was tried in this run (monotonic seconds), and whether it came about."""

    at: float
    well: bool


def is_due(*, now: float, wall: float, made: float | None, tried: Tried | None, from_: float) -> bool:
    """Say whether a backup is to be made. A wall clock that jumps makes one more, never one less.

    Args:
        now: monotonic seconds.
        wall: seconds of the wall clock.
        made: when the backup that is there was made, by the wall clock.
        tried: how the last try of this run went.
        from_: when the first one may be made, monotonic.
    """
    if tried is not None and not tried.well:
        return now - tried.at >= RETRY_SECONDS
    if tried is not None and now - tried.at >= DAY:
        return True
    if tried is None and now < from_:
        return False
    return made is None or not -DAY < wall - made < DAY


class LedgerKeeper:
    """The thread that checks and backs up. `failure` holds what ends the service: a damaged ledger.

    Args:
        ledger: the file.
        clock: both clocks.
        checked: whether the start has checked it to its end.
        first: seconds for which a start is left alone before the first backup.
        thin: thins a batch of what is not to be kept by now; False where none is left.
    """

    def __init__(
        self,
        ledger: KeptLedger,
        clock: Clock,
        *,
        checked: bool,
        first: float = FIRST_SECONDS,
        thin: Callable[[datetime], bool] = lambda _: False,
    ) -> None:
        self._thin_batch = thin
        self._ledger = ledger
        self._clock = clock
        self._from = clock.monotonic() + first
        self._checked = checked
        self._tried: Tried | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-keeper", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Say whether the thread is at work."""
        return self._thread.is_alive()

    def stop(self, seconds: float) -> None:
        """End what is under way and wait for the thread; a backup begun is thrown away."""
        self._stop.set()
        self._ledger.interrupt()
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.tend()
                self._stop.wait(FIRST_SECONDS if self._tried is None else LOOK_SECONDS)
        except BaseException as error:  # noqa: BLE001 - a thread that dies must end the service, see `failure`
            self.failure = error

    def tend(self) -> None:
        """Do what is due now, in this thread.

        Raises:
            LedgerDamaged: the ledger does not hold together.
        """
        now, at = self._clock.monotonic(), self._clock.now()
        try:
            made = self._ledger.backed_up_at()
            due = is_due(now=now, wall=at.timestamp(), made=made, tried=self._tried, from_=self._from)
            if due or not self._checked:
                self._ledger.check()
                self._checked = True
            if due:
                self._ledger.back_up(at)
                self._succeeded(now)
        except LedgerDamaged:
            raise
        except LedgerError as error:
            self._failed(now, error)
        else:
            self._thin(at)

    def _thin(self, at: datetime) -> None:
        """Thin for some seconds at most: what is left then has its turn at the next look."""
        end = self._clock.monotonic() + THIN_SECONDS
        with suppress(LedgerError):  # who writes says so; what could not be thinned is met again
            while self._clock.monotonic() < end and not self._stop.is_set() and self._thin_batch(at):
                self._stop.wait(THIN_PAUSE)

    def _succeeded(self, now: float) -> None:
        again = self._tried is not None and not self._tried.well
        self._tried = Tried(at=now, well=True)
        (log.warning if again else log.info)(
            "ledger_backed_up", seconds=round(self._clock.monotonic() - now, 3)
        )

    def _failed(self, now: float, error: LedgerError) -> None:
        first = self._tried is None or self._tried.well
        self._tried = Tried(at=now, well=False)
        if first and not self._stop.is_set():
            hint = "attachd goes on without, and tries again every five minutes"
            log.error("ledger_not_backed_up", why=error.message, hint=hint)
