"""Dispatch: claims the due deliveries of one destination for its workers, through its gate.

Each destination has its own claim loop and its own workers, so that a dead one starves nobody. Nothing
sleeps for a retry: when a delivery is due stands in the ledger, and the loop waits for the nearest time.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from structlog.contextvars import bound_contextvars

from attachd.core import gate as gates
from attachd.core import outcomes
from attachd.core.gate import Gate
from attachd.core.heart import Heart
from attachd.core.measure import UNMEASURED, Measure
from attachd.core.paths import escape
from attachd.core.protocols import Change, Clock, Ledger
from attachd.core.retrying import latest_end, longest_pause
from attachd.core.settings import DestinationSettings
from attachd.model import Delivery, ErrorInfo, Severity, State, Withheld
from attachd.pipeline.deliver import Asked, Attempt
from attachd.pipeline.patience import until_written

log = structlog.get_logger("attachd")

POLL_SECONDS = 0.5
"""The longest wait of a claim loop: so soon it notices what another process wrote to the ledger.

At least so often it also looks at what waits: for its time, for its doubt to be settled, or for ever because
the clock was put back. In between it only claims what is ready.
"""

DOUBT_SECONDS = 30.0
"""How long a destination that could not be asked about a doubtful delivery is left alone."""


class Attempting(Protocol):
    """Makes attempts: `pipeline.deliver.Worker`."""

    def attempt(self, delivery: Delivery, *, probe: bool = False) -> Attempt:
        """Make one attempt and write how it ended."""
        ...


class Settling(Protocol):
    """Settles doubt: `pipeline.doubt.Reconciler`."""

    def settle(self, delivery: Delivery) -> bool:
        """Ask the destination; False where it could not be asked right now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchHealth:
    """How a destination stands, for `status`.

    Attributes:
        paused_until: when the next probe may go, while the gate is closed.
        blocked: nothing speaks for the gate opening soon.
        active: deliveries that workers have right now.
    """

    name: str
    kind: str
    healthy: bool
    detail: str
    paused_until: datetime | None
    blocked: bool
    active: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    delivery: Delivery
    probe: bool


class Dispatcher:
    """The claim loop and the workers of one destination.

    The claim thread owns the gate; workers hand it their results through a queue. `withheld` says what may
    not be claimed at this moment.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins, given by keyword
        self,
        *,
        settings: DestinationSettings,
        ledger: Ledger,
        worker: Attempting,
        reconciler: Settling,
        clock: Clock,
        run: str,
        withheld: Callable[[], Withheld],
        measure: Measure = UNMEASURED,
    ) -> None:
        self.settings = settings
        self._ledger = ledger
        self._worker = worker
        self._reconciler = reconciler
        self._clock = clock
        self._run = run
        self._withheld = withheld
        self._measure = measure
        self._gate = Gate()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Attempt | int] = queue.SimpleQueue()
        self._busy: set[int] = set()
        self._asked_at: dict[int, float] = {}
        self._round_at = 0.0
        self._threads: list[threading.Thread] = []
        self.failure: BaseException | None = None
        self.heart = Heart(clock)

    def start(self) -> None:
        """Start the claim loop and the workers."""
        name = self.settings.name
        self._threads = [
            threading.Thread(target=self._guard, args=(self._loop,), name=f"claim-{name}", daemon=True)
        ]
        for number in range(self.settings.workers):
            worker = threading.Thread(
                target=self._guard, args=(self._work,), name=f"worker-{name}-{number + 1}", daemon=True
            )
            self._threads.append(worker)
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Say that there may be something to claim."""
        self._wake.set()

    def stop_claiming(self) -> None:
        """Take no new delivery; those under way go on."""
        self._stop.set()
        self._wake.set()

    @property
    def is_running(self) -> bool:
        """Say whether the claim loop or a worker is still at work."""
        return any(thread.is_alive() for thread in self._threads)

    def health(self) -> DispatchHealth:
        """Give the state of the destination as one value."""
        gate = self._gate
        paused = None
        if gate.is_closed:
            paused = self._clock.now() + timedelta(seconds=max(0.0, gate.probe_at - self._clock.monotonic()))
        return DispatchHealth(
            name=self.settings.name,
            kind=self.settings.kind,
            healthy=not gate.is_closed,
            detail=_describe(gate.reason) if gate.is_closed else "",
            paused_until=paused,
            blocked=gate.is_lasting,
            active=len(self._busy),
        )

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - a thread that dies must end the service, see `failure`
            self.failure = error
            self.stop_claiming()

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                until_written(self._turn, self._stop)
            self._put_back_unstarted()
        finally:
            self.heart.rest()
            for _ in range(self.settings.workers):
                self._jobs.put(None)

    def _turn(self) -> None:
        self.heart.beat()
        self._wake.clear()
        self._take_results()
        now = self._clock.monotonic()
        if now < self._round_at:
            self._claim(now)
        else:
            self._settle_doubt(now)
            self._claim(now, with_waiting=True)
            self._round_at = now + self._pause()
        self._wake.wait(max(0.0, self._round_at - self._clock.monotonic()))

    def _claim(self, now: float, *, with_waiting: bool = False) -> None:
        free = self.settings.workers - len(self._busy)
        allowed = gates.may_claim(self._gate, now)
        limit = free if allowed is None else min(free, allowed)
        if limit <= 0:
            return
        at = self._clock.now()
        claimed = self._ledger.claim(
            self.settings.name,
            self._run,
            at,
            limit,
            withheld=self._withheld(),
            due=with_waiting,
            latest=latest_end(at, longest_pause(self.settings.retry)) if with_waiting else None,
        )
        for delivery in claimed:
            probe = self._gate.is_closed
            self._gate = gates.probe_sent(self._gate, delivery.id)
            self._measure.claimed(self.settings.name, (at - (delivery.ready_since or at)).total_seconds())
            self._busy.add(delivery.id)
            self._jobs.put(_Job(delivery=delivery, probe=probe))

    def _settle_doubt(self, now: float) -> None:
        if self._gate.is_closed:
            return
        doubtful = self._ledger.doubtful(self.settings.name)
        self._asked_at = {each.id: self._asked_at[each.id] for each in doubtful if each.id in self._asked_at}
        for delivery in doubtful:
            if len(self._busy) >= self.settings.workers:
                return
            if delivery.id in self._busy or now < self._asked_at.get(delivery.id, now):
                continue
            self._asked_at[delivery.id] = now + DOUBT_SECONDS
            self._busy.add(delivery.id)
            self._jobs.put(_Job(delivery=delivery, probe=False))

    def _take_results(self) -> None:
        while True:
            try:
                result = self._results.get_nowait()
            except queue.Empty:
                return
            if isinstance(result, int):
                self._busy.discard(result)
                self._round_at = 0.0
                continue
            self._busy.discard(result.delivery_id)
            self._gate = self._after(result)
            if result.asked is not Asked.ANSWERED:  # it may be in doubt, or due again soon
                self._round_at = 0.0

    def _after(self, result: Attempt) -> Gate:
        before = self._gate
        if result.asked is Asked.ANSWERED:
            after = gates.answered(before)
        elif result.trouble is None:
            after = gates.probe_lost(before, result.delivery_id)
        else:
            after = gates.struck(
                before,
                result.delivery_id,
                result.trouble.info,
                now=self._clock.monotonic(),
                policy=self.settings.retry,
                refused=result.trouble.severity is Severity.REFUSED,
                unreachable=result.trouble.unreachable,
            )
        if after.is_closed and not before.is_closed:
            log.error("gate_closed", destination=self.settings.name, why=_describe(after.reason))
        if before.is_closed and not after.is_closed:
            log.warning("gate_opened", destination=self.settings.name)
        return after

    def _pause(self) -> float:
        pause = POLL_SECONDS
        if self._gate.is_closed or len(self._busy) >= self.settings.workers:
            return pause  # a result, or the probe's time, comes first
        due = self._ledger.next_due(self.settings.name)
        if due is not None:
            pause = min(pause, max(0.01, (due - self._clock.now()).total_seconds()))
        return pause

    def _put_back_unstarted(self) -> None:
        """Give back what was claimed and no worker has begun, so that another run need not recover it."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None and job.delivery.state is State.ACTIVE:
                self._ledger.change(job.delivery, self._unstarted(job.delivery))

    def _unstarted(self, delivery: Delivery) -> Change:
        detail = "put back before its attempt began"
        return outcomes.put_back(at=self._clock.now(), by=self._run, detail=detail, error=delivery.error)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            with bound_contextvars(**_about(job.delivery)):  # for every line that is logged meanwhile
                self._do(job)
            self._wake.set()

    def _do(self, job: _Job) -> None:
        delivery = job.delivery
        if delivery.state is State.DOUBTFUL:
            self._reconciler.settle(delivery)
            self._results.put(delivery.id)
        else:
            self._results.put(self._worker.attempt(delivery, probe=job.probe))


def _about(delivery: Delivery) -> dict[str, object]:
    return {
        "delivery": delivery.id,
        "path": escape(delivery.path),
        "folder": escape(delivery.folder),
        "rule": delivery.rule,
        "destination": delivery.destination,
    }


def _describe(reason: ErrorInfo | None) -> str:
    if reason is None:
        return ""
    return f"{reason.message}; {reason.hint}" if reason.hint else reason.message
